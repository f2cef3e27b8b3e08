import { describe, expect, it } from 'vitest'
import { closingLine, countTests, hasRun } from './closing-line-reporter.ts'

describe('closing line', () => {
  it('has the form continuous integration reads', () => {
    expect(closingLine({ passed: 12, failed: 0, skipped: 3 })).toBe('12 passed, 0 failed, 3 skipped')
  })

  it('counts a file that could not be loaded and an error outside of any test as failed', () => {
    const module = (states: string[], ok: boolean) => ({
      ok: () => ok,
      children: { allTests: () => states.map((state) => ({ result: () => ({ state }) })) },
    })
    const modules = [module(['passed', 'failed', 'skipped'], false), module([], false), module(['passed'], true)]
    expect(countTests(modules, 1)).toEqual({ passed: 2, failed: 3, skipped: 1 })
  })

  it('does not take a run of skipped tests for a run', () => {
    expect(hasRun({ passed: 0, failed: 0, skipped: 9 })).toBe(false)
    expect(hasRun({ passed: 1, failed: 0, skipped: 0 })).toBe(true)
  })
})
