import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withAdminClient } from '../../../core/test/support/admin-client.ts'
import { createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { inject } from '../../src/inject/inject.ts'
import type { InjectionReport } from '../../src/inject/injection-report.ts'
import { FAMILIES } from '../../src/inject/payload.ts'
import { SPOTS, WHOLE } from '../../src/inject/spots.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const urls = () => ({ adminUrl: database.adminUrl, appUrl: database.appUrl })

/** What PostgreSQL leaves open, each with its own test in next-statement.test.ts and its line in SECURITY.md; nothing else may leak. */
const REPORTED: readonly string[] = [
  'session memory / random seed',
  'session memory / sequence',
  `own role / set TimeZone = 'Asia/Dubai'`,
  'own role / set enable_indexscan = off',
]

async function leftovers(): Promise<string[]> {
  return withAdminClient(database.adminUrl, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      // Databases are the promise of the scratch server, tested in test/verify.
      `select rolname as name from pg_roles where rolname ~ '^rowhouse_inject_[0-9a-f]{12}_'
       union all select 'setting of ' || setrole::regrole from pg_db_role_setting where setrole = 'rowhouse_app'::regrole and setdatabase = 0`,
    )
    return rows.map(({ name }) => name)
  })
}

describe('inject()', () => {
  let report: InjectionReport
  beforeAll(async () => {
    report = await inject({ ...urls(), limit: 2_020 })
  }, 90_000)

  it('sends at least 2,000 different payloads, and nearly all of them are SQL', () => {
    expect(report.payloads).toBeGreaterThanOrEqual(2_000)
    expect(report.parsed / report.runs).toBeGreaterThan(0.95)
    const { refused, harmless, undone, leaked } = report.verdicts
    expect(refused + harmless + undone + leaked).toBe(report.runs)
  })

  it('places every family, and uses every place, with SQL that parses', () => {
    const parsed = report.counts.filter((count) => count.parsed > 0)
    expect(new Set(parsed.map(({ family }) => family))).toEqual(new Set(Object.keys(FAMILIES)))
    expect(new Set(parsed.map(({ spot }) => spot))).toEqual(new Set([...SPOTS.map(({ name }) => name), WHOLE]))
  })

  it('finds no way to another tenant, and nothing left for the next one, beyond what was reported', () => {
    const others = report.leaks.filter(({ payload }) => !REPORTED.includes(`${payload.family} / ${payload.action}`))
    expect(others).toEqual([])
    expect(
      report.leaks.filter(({ found }) => found.some((what) => /came back|changed|may do that/.test(what))),
    ).toEqual([])
  })

  it('does on the textbook setup what each family claims, and sees a stolen seal', () => {
    expect(report.controls).toMatchObject({ void: [], fired: report.controls.total })
    expect(report.controls.total).toBe(Object.values(FAMILIES).filter((claim) => claim !== 'allowed').length)
    expect(report.seesLeaks).toBe(true)
  })

  it('leaves no role or setting behind', async () => {
    expect(await leftovers()).toEqual([])
  })
})

describe('inject() with bad input', () => {
  it('stops when it is aborted and drops what it made', async () => {
    const abort = new AbortController()
    const reason = new Error('enough')
    const run = inject({ ...urls(), limit: 200, signal: abort.signal, onProgress: () => abort.abort(reason) })
    await expect(run).rejects.toBe(reason)
    expect(await leftovers()).toEqual([])
  })

  it('does not begin when it was aborted before', async () => {
    await expect(inject({ ...urls(), signal: AbortSignal.abort(new Error('never')) })).rejects.toThrow('never')
    expect(await leftovers()).toEqual([])
  })

  it.each([
    [{ seed: 0.5 }, 'Cannot use seed 0.5: wanted a whole number'],
    [{ limit: 0 }, 'Cannot send 0 payloads: wanted at least 1'],
    [{ limit: Number.NaN }, 'Cannot send NaN payloads: wanted at least 1'],
  ])('refuses %j', async (options, message) => {
    await expect(inject({ ...urls(), ...options })).rejects.toThrow(new RangeError(message))
  })

  it('drops what it made when the application cannot log in', async () => {
    const wrong = new URL(database.appUrl)
    wrong.password = 'wrong'
    await expect(inject({ ...urls(), appUrl: wrong.href })).rejects.toMatchObject({
      code: 'ERR_STATEMENT_FAILED',
      message: expect.stringContaining('password authentication failed'),
    })
    expect(await leftovers()).toEqual([])
  })
})
