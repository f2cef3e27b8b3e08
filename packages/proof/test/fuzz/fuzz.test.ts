import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withAdminClient } from '../../../core/test/support/admin-client.ts'
import { createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { type FuzzReport, fuzz } from '../../src/fuzz/fuzz.ts'
import { WEAKNESSES } from '../../src/fuzz/weaknesses.ts'

/** Machines that do other things at once are slower by far; alone each of these takes seconds. */
const PATIENCE_MS = 240_000

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

function run(options: Partial<Parameters<typeof fuzz>[0]> = {}): Promise<FuzzReport> {
  const { adminUrl, appUrl } = database
  return fuzz({ adminUrl, appUrl, seed: 7, statements: 1, controls: false, ...options })
}

function scratchDatabases(): Promise<string[]> {
  return withAdminClient(database.adminUrl, async (admin) => {
    const { rows } = await admin.query(`select datname from pg_database where datname like 'rowhouse\\_fuzz\\_%'`)
    return rows.map(({ datname }) => datname)
  })
}

describe('fuzz()', () => {
  it(
    'finds no difference in 3,000 statements',
    async () => {
      const progress: number[] = []
      const report = await run({ statements: 3_000, onProgress: ({ statements }) => progress.push(statements) })
      expect(report.failures).toEqual([])
      expect(report).toMatchObject({ seed: 7, from: 0, statements: 3_000, controls: [], void: false })
      expect(report.committed).toBeGreaterThanOrEqual(6)
      expect(report.inconclusive).toBeLessThan(30)
      expect(Object.values(report.byKind).reduce((sum, count) => sum + count, 0)).toBe(3_000)
      expect(progress).toEqual([1_000, 2_000, 3_000])
    },
    PATIENCE_MS,
  )

  let controlled: FuzzReport
  it(
    'runs every control before it believes itself',
    async () => {
      controlled = await run({ controls: true })
      expect(controlled.controls.map(({ name }) => name)).toEqual(WEAKNESSES.map(({ name }) => name))
      expect(controlled.void).toBe(false)
      expect(controlled.failures).toEqual([])
    },
    PATIENCE_MS,
  )

  it.each(WEAKNESSES)('finds a counterexample for $name and shrinks it', ({ name, within }) => {
    const control = controlled.controls.find((candidate) => candidate.name === name)
    expect(control).toMatchObject({ fired: true })
    expect(control?.statements).toBeLessThanOrEqual(within)
    const { sql = '', shrunk = '' } = control?.failure ?? {}
    expect(shrunk.length).toBeLessThanOrEqual(sql.length)
    expect(shrunk.length).toBeGreaterThan(0)
    expect(shrunk.length).toBeLessThan(500)
  })

  it(
    'makes a failure again from its seed and number alone',
    async () => {
      const weakness = 'permissive-policy-without-wall'
      const first = controlled.controls.find(({ name }) => name === weakness)?.failure
      const again = await run({ weakness, from: first?.number ?? -1 })
      expect(again.failures).toMatchObject([{ number: first?.number, sql: first?.sql, reason: first?.reason }])
      expect(again.statements).toBe(1)
    },
    PATIENCE_MS,
  )

  it(
    'leaves no database behind when it is aborted',
    async () => {
      const abort = new AbortController()
      const running = run({ statements: 1_000_000, signal: abort.signal, onProgress: () => abort.abort() })
      await expect(running).rejects.toMatchObject({ name: 'AbortError' })
      expect(await scratchDatabases()).toEqual([])
    },
    PATIENCE_MS,
  )

  it('leaves no database behind when the application cannot log in', async () => {
    const appUrl = new URL(database.appUrl)
    appUrl.password = 'wrong'
    await expect(run({ appUrl: appUrl.href })).rejects.toMatchObject({
      message: expect.stringContaining('password authentication failed'),
    })
    expect(await scratchDatabases()).toEqual([])
  })

  it.each([
    [{ seed: 0.5 }, 'Cannot fuzz with seed 0.5: wanted a whole number'],
    [{ statements: 0 }, 'Cannot fuzz 0 statements: wanted a whole number from 1'],
    [{ from: -1 }, 'Cannot start from statement -1: wanted a whole number from 0'],
    [{ weakness: 'nothing' }, expect.stringContaining('Cannot weaken by "nothing": wanted one of update-open')],
  ])('refuses %o', async (options, message) => {
    await expect(run(options)).rejects.toMatchObject({ name: 'RangeError', message })
  })
})
