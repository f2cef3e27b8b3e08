import { measureInTurns, round } from './measure.ts'
import type { MovePlatform } from './move-platform.ts'

const BULK_ROWS = 10_000

type State = 'with' | 'without'

/**
 * What capturing keys costs: single writes through rowhouse, and the bare cost per row of a large statement in the
 * database, of the tenant that moves and of one it shares tables with.
 */
export function captureSamples(platform: MovePlatform, tenantId: string, neighbourId: string) {
  const { app, admin } = platform
  const samples = new Map<string, number[]>()
  const add = (name: string, value: number) => samples.set(name, [...(samples.get(name) ?? []), value])
  const write = (slug: string) => () =>
    app.withTenant(slug, (db) => db.query(`insert into shipment (reference) values ('capture')`))
  const of = (name: string) => {
    const sorted = (samples.get(name) ?? []).toSorted((a, b) => a - b)
    return round(sorted[Math.floor(sorted.length / 2)] ?? 0)
  }
  const side = (who: string) => ({
    writesPerSecond: { without: of(`${who} without`), with: of(`${who} with`) },
    microsecondsPerRow: { without: of(`${who} row without`), with: of(`${who} row with`) },
  })
  return {
    measure: async (state: State) => {
      const figures = await measureInTurns(
        { mover: write('mover'), neighbour: write('neighbour-0') },
        { inFlight: 4, roundMs: 400, rounds: 1 },
      )
      for (const [who, { opsPerSecond }] of Object.entries(figures)) add(`${who} ${state}`, opsPerSecond)
      add(`mover row ${state}`, await insertMany(platform, tenantId))
      add(`neighbour row ${state}`, await insertMany(platform, neighbourId))
    },
    /** Takes away what was written, so that every round finds the same table. */
    clean: async () => {
      await admin.query(`delete from shipment where reference = 'capture'`)
      await admin.query('vacuum shipment')
    },
    report: () => ({ mover: side('mover'), neighbour: side('neighbour') }),
  }
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
