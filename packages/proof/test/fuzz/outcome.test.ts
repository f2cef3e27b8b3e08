import { describe, expect, it } from 'vitest'
import { compare, isPassing, type StepOutcome } from '../../src/fuzz/outcome.ts'
import type { Case } from '../../src/fuzz/statement.ts'

const CASE: Case = { number: 0, kind: 'select', form: 'single', units: false, steps: ['select 1'], values: [] }

function answered(result: string, more: Partial<StepOutcome> = {}): StepOutcome[] {
  return [{ result, notices: [], tenant: 0, ...more }]
}

function failed(state: string, text = 'no'): StepOutcome[] {
  return [{ error: { state, text }, notices: [], tenant: 0 }]
}

describe('compare()', () => {
  it.each([
    ['the same rows', answered('SELECT 1\n["x"]'), answered('SELECT 1\n["x"]')],
    ['the same error', failed('42501'), failed('42501')],
  ])('finds nothing in %s', (_name, all, alone) => {
    expect(compare(CASE, all, alone)).toBeUndefined()
  })

  it.each([
    ['another count', answered('UPDATE 3'), answered('UPDATE 1'), 'result'],
    ['an error on one side', failed('23505'), answered('INSERT 1'), 'error'],
    ['two errors', failed('23505'), failed('42501'), 'error'],
    ['another notice', answered('SELECT 0', { notices: ['echo'] }), answered('SELECT 0'), 'notice'],
    ['a canary in a row', answered('SELECT 1\n["QZXB-name-1"]'), answered('SELECT 1\n["QZXB-name-1"]'), 'canary'],
    ['a canary in an error', failed('22P02', 'invalid: qzxc-label-2'), failed('22P02', 'invalid'), 'canary'],
    ['a write the sentinel saw, on both sides', failed('RHF01'), failed('RHF01'), 'foreign-write'],
  ])('finds %s', (_name, all, alone, reason) => {
    expect(compare(CASE, all, alone)?.reason).toBe(reason)
  })

  it('takes a canary for its own that the statement brought along', () => {
    const all = answered('SELECT 1\n["qzxb"]')
    expect(compare({ ...CASE, steps: [`select 'qzxb'`] }, all, all)).toBeUndefined()
  })

  it('searches statements of the other tenants for canaries of the acting one, and compares nothing else of them', () => {
    const other = answered('SELECT 1\n["qzxb-name-1"]', { tenant: 1 })
    expect(compare(CASE, other, answered('SELECT 0', { tenant: 1 }))).toBeUndefined()
    const leak = answered('SELECT 1\n["qzxa-name-1"]', { tenant: 1 })
    expect(compare(CASE, leak, answered('SELECT 0', { tenant: 1 }))?.reason).toBe('canary')
  })
})

describe('isPassing()', () => {
  it.each([
    ['57014', true],
    ['08006', true],
    ['40P01', true],
    ['42501', false],
    ['23505', false],
  ])('of %s is %s', (state, passing) => {
    expect(isPassing(failed(state))).toBe(passing)
  })
})
