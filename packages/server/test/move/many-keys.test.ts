/** A tenant that changes more rows than one round takes while it is copied: PostgreSQL 18 to 15. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startCapture, stopCapture } from '../../src/move/capture.ts'
import type { MoveRecord } from '../../src/move/move-record.ts'
import { pairTables } from '../../src/move/preflight.ts'
import { catchUp, catchUpAndCompare, copyAll } from '../../src/move/transfer.ts'
import { OperatorConnections } from '../../src/registry/operator-connections.ts'
import { createPlatform, type Platform } from '../support/platform.ts'

const MANY = 21_000
const SOURCE = { server: 'main', model: 'pooled', database: undefined, schema: undefined } as const
const TARGET = { ...SOURCE, server: 'old-1' } as const

let platform: Platform
let connections: OperatorConnections
let move: Pick<MoveRecord, 'id' | 'tenantId' | 'source' | 'target'>
let pairs: Awaited<ReturnType<typeof pairTables>>

beforeAll(async () => {
  platform = await createPlatform()
  connections = new OperatorConnections(platform.central.adminUrl)
  const { id } = await platform.plane.provision({ slug: 'busy', wish: { model: 'pooled', server: 'main' } })
  move = { id: randomUUID(), tenantId: id, source: SOURCE, target: TARGET }
  const fill = `insert into shipment (tenant_id, id, reference) select $1, i, 'r' || i from generate_series(1, ${MANY}) i`
  await platform.admin.query(fill, [id])
  pairs = await pairTables(connections, SOURCE, TARGET)
  await startCapture(
    connections,
    SOURCE,
    pairs.map(({ from }) => from),
    id,
    move.id,
  )
  // As where a tenant lived before: the planner believes that nobody is here.
  await platform.onOld(async (old) => {
    await old.query(fill, [id])
    await old.query('delete from shipment')
    await old.query('vacuum (analyze, truncate off) shipment')
  })
  const record = move as MoveRecord
  await copyAll(
    connections,
    record,
    pairs,
    () => {},
    async () => {},
  )
})

afterAll(async () => {
  await stopCapture(
    connections,
    SOURCE,
    pairs.map(({ from }) => from),
    move.id,
    true,
  )
  await connections.close()
  await platform.close()
})

const round = () => catchUp(connections, move as MoveRecord, SOURCE, TARGET, pairs)
const change = (text: string) => platform.admin.query(`update shipment set ${text} and tenant_id = '${move.tenantId}'`)

it('takes them in rounds, and says that there is more, also where few rows changed often', async () => {
  await change(`reference = 'x' || id where true`)
  expect(await round()).toBe(20_000)
  expect(await round()).toBe(MANY - 20_000)
  expect(await round()).toBe(0)
  for (let n = 0; n < 3; n += 1) await change(`reference = reference where id <= 9000`)
  expect(await round()).toBe(20_000)
  expect(await round()).toBeGreaterThan(0)
  expect(await round()).toBe(0)
})

it('takes them all at once where a unique value has gone from a later row to an earlier one', async () => {
  await change(`reference = 'mine' where id = 1`)
  await change(`reference = reference where id > 1 and id < ${MANY}`)
  await change(`reference = 'given away' where id = ${MANY}`)
  await change(`reference = 'x${MANY}' where id = 1`)
  expect(await round()).toBe(MANY)
  const all = await catchUpAndCompare(connections, move as MoveRecord, SOURCE, TARGET, pairs)
  expect(all).toEqual({ tables: 2, rows: MANY })
})
