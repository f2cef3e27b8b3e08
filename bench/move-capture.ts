import { randomUUID } from 'node:crypto'
import { startCapture, stopCapture } from '../packages/server/src/move/capture.ts'
import { tablesOf } from '../packages/server/src/move/preflight.ts'
import { measureInTurns, round } from './measure.ts'
import { median } from './move-copy.ts'
import type { MovePlatform } from './move-platform.ts'

const HOME = { server: 'main', database: undefined, schema: undefined }
const ROUNDS = 7
const BULK_ROWS = 20_000

/**
 * What capturing keys costs: single writes through rowhouse, and the bare cost per row of a large statement in the
 * database, of the tenant that moves and of one it shares tables with; with and without, by turns.
 */
export async function benchCapture(platform: MovePlatform, tenantId: string, neighbourId: string) {
  const { connections, app } = platform
  const tables = await tablesOf(connections, HOME)
  const write = (slug: string) => () =>
    app.withTenant(slug, (db) => db.query(`insert into shipment (reference) values ('capture')`))
  const samples = new Map<string, number[]>()
  const add = (name: string, value: number) => samples.set(name, [...(samples.get(name) ?? []), value])
  for (let n = 0; n < ROUNDS; n++) {
    for (const state of ['without', 'with'] as const) {
      const moveId = randomUUID()
      if (state === 'with') await startCapture(connections, HOME, tables, tenantId, moveId)
      const figures = await measureInTurns(
        { mover: write('mover'), neighbour: write('neighbour-0') },
        { inFlight: 4, roundMs: 500, rounds: 1 },
      )
      for (const [who, { opsPerSecond }] of Object.entries(figures)) add(`${who} ${state}`, opsPerSecond)
      for (const [who, id] of [
        ['mover', tenantId],
        ['neighbour', neighbourId],
      ] as const) {
        add(`${who} row ${state}`, await insertMany(platform, id))
      }
      await stopCapture(connections, HOME, tables, moveId, true)
    }
    await platform.admin.query(`delete from shipment where reference = 'capture'`)
    await platform.admin.query('vacuum shipment')
  }
  const of = (name: string) => round(median(samples.get(name) ?? []), 2)
  const side = (who: string) => ({
    writesPerSecond: { without: of(`${who} without`), with: of(`${who} with`) },
    microsecondsPerRow: { without: of(`${who} row without`), with: of(`${who} row with`) },
  })
  return { mover: side('mover'), neighbour: side('neighbour') }
}

/** One statement that inserts many rows; microseconds per row. */
async function insertMany({ admin }: MovePlatform, tenantId: string): Promise<number> {
  const beganMs = performance.now()
  await admin.query(
    `insert into shipment (tenant_id, reference) select $1, 'capture' from generate_series(1, ${BULK_ROWS})`,
    [tenantId],
  )
  return ((performance.now() - beganMs) * 1_000) / BULK_ROWS
}
