/** Tenants in schemas and databases of their own, and beside each other, behind the same walls. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TestDatabase } from '../../../core/test/support/database.ts'
import type { VerifyModel } from '../../src/verify/placing.ts'
import type { VerifyReport } from '../../src/verify/verify.ts'
import { verifyModel } from '../../src/verify/verify-model.ts'
import { createOperator, createSmallDatabase, type Operator } from './small-schema.ts'

let database: TestDatabase
let operator: Operator

beforeAll(async () => {
  database = await createSmallDatabase()
  operator = await createOperator(database)
})

afterAll(async () => {
  await operator.drop()
  await database.drop()
})

const run = (of: TestDatabase, model: VerifyModel) =>
  verifyModel({ adminUrl: operator.url(of), appUrl: of.appUrl }, model)

const problems = ({ cells }: VerifyReport) =>
  cells.filter(({ verdict }) => verdict === 'leaked' || verdict === 'void').map(({ attack, how }) => [attack, how])

describe.each([
  ['schema', 150],
  ['database', 150],
  ['hybrid', 300],
] as const)('model %s', (model, atLeast) => {
  test('is isolated, every control succeeds, nothing is left on the server', async () => {
    const report = await run(database, model)
    expect(problems(report)).toEqual([])
    expect(report).toMatchObject({ model, isolated: true, uncloned: [], empty: [] })
    expect(report.controls.fired).toBe(report.controls.total)
    expect(report.refused).toBeGreaterThan(atLeast)
    expect(report.cells.filter(({ attack }) => attack.startsWith('PLC-')).length).toBeGreaterThan(5)
    expect(await operator.listScratch()).toEqual([])
  }, 240_000)
})

test('a table whose wall is gone is found in the home of a tenant as well', async () => {
  const holey = await createSmallDatabase(
    ';drop policy rowhouse_wall on item; create policy all_rows on item using (true)',
  )
  try {
    const { isolated, cells } = await run(holey, 'schema')
    expect(isolated).toBe(false)
    const leaked = cells.filter(({ verdict }) => verdict === 'leaked').map(({ target }) => target)
    expect(leaked).toContain('t_verify_victim_00000000000b.item')
  } finally {
    await holey.drop()
  }
}, 240_000)
