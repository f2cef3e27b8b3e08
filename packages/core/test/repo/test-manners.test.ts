import { describe, expect, it } from 'vitest'
import { readRepoFiles } from '../../../../tools/repo-files.ts'
import { root } from './repository.ts'
import { findBadManners } from './test-manners.ts'

const tests = readRepoFiles(root, /(\/test\/.*|\.test)\.tsx?$/)
const judge = (text: string) => findBadManners({ path: 'a.test.ts', text })

describe('tests of this repository', () => {
  it('hide, skip and sleep nowhere without a reason, because a green run must mean that everything ran', () => {
    expect(tests.length).toBeGreaterThan(3)
    expect(tests.flatMap(findBadManners)).toEqual([])
  })
})

describe('findBadManners()', () => {
  it.each([
    [`it.only('a', f)`, 'has .only'],
    [`describe.only('a', f)`, 'has .only'],
    [`it.only.each([1])('a', f)`, 'has .only'],
    [`it('a', { only: true }, f)`, 'has .only'],
    [`test.skip('a', f)`, 'has .skip without a reason'],
    [`it.skip.each([1])('a', f)`, 'has .skip without a reason'],
    [`it.concurrent.skip('a', f)`, 'has .skip without a reason'],
    [`it('a', { skip: true }, f)`, 'has .skip without a reason'],
    [`it.todo('a')`, 'has .todo without a reason'],
    [`it.skipIf(old)('a', f)`, 'has .skipIf without a reason'],
    [`it.runIf(modern)('a', f)`, 'has .runIf without a reason'],
    [`await new Promise((done) => setTimeout(done, 9))`, 'sleeps'],
    [`import { setTimeout as nap } from 'node:timers/promises'\nawait nap(9)`, 'sleeps'],
    [`import * as timers from 'timers/promises'\nawait timers.setTimeout(9)`, 'sleeps'],
    [`while (Date.now() < end) {}`, 'waits in a loop without giving way'],
  ])('finds the fault in %s', (text, problem) => {
    expect(judge(text)).toEqual([expect.stringContaining(problem)])
  })

  it.each([
    [`it.skipIf(old)('copies rows, needs PostgreSQL 16', f)`],
    [`it.each([1])('a', f)`],
    [`it('a', { timeout: 9 }, f)`],
    [`const text = "it.only('a')" // it.only('b')`],
    [`await delay(20) // bounded poll`],
    [`import { setTimeout as delay } from 'node:timers/promises'\nawait delay(20) // bounded poll`],
    [`while (Date.now() < end) await probe()`],
    [`db.only('a')`],
  ])('finds nothing in %s', (text) => {
    expect(judge(text)).toEqual([])
  })
})
