import { pipeline } from 'node:stream/promises'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import type { MoveRecord } from '../packages/server/src/move/move-record.ts'
import { pairTables } from '../packages/server/src/move/preflight.ts'
import { copyAll } from '../packages/server/src/move/transfer.ts'
import { round } from './measure.ts'
import { MOVED_ROWS, type MovePlatform } from './move-platform.ts'

const ROUNDS = 7
const MB = 1_048_576
const SOURCE = { server: 'main', model: 'pooled', database: undefined, schema: undefined } as const
const TARGET = { server: 'old-1', model: 'pooled', database: undefined, schema: undefined } as const

/** The copy of a move against a bare `COPY TO | COPY FROM` of the same rows between the same tables, by turns. */
export async function benchCopy(platform: MovePlatform, tenantId: string) {
  const pairs = await pairTables(platform.connections, SOURCE, TARGET)
  const move = { source: SOURCE, target: TARGET, tenantId } as MoveRecord
  const ours: number[] = []
  const bare: number[] = []
  let bytes = 0
  for (let n = 0; n <= ROUNDS; n++) {
    const bareMs = await onEmptyTarget(platform, () => copyBare(platform, tenantId))
    const oursMs = await onEmptyTarget(platform, () =>
      copyAll(platform.connections, move, pairs, (_, done) => {
        bytes = done
      }),
    )
    // The first round fills caches.
    if (n > 0) bare.push(bareMs)
    if (n > 0) ours.push(oursMs)
  }
  const [oursMs, bareMs] = [median(ours), median(bare)]
  return {
    copyRatio: round(bareMs / oursMs),
    oursMs: round(oursMs, 0),
    bareMs: round(bareMs, 0),
    rowsPerSecond: Math.round((MOVED_ROWS * 1_000) / oursMs),
    mbPerSecond: round((bytes / MB) * (1_000 / oursMs), 1),
  }
}

/** What the process weighs at most while it copies a tenant, over what it weighed before. */
export async function benchMemory(platform: MovePlatform, tenantId: string, rows: number) {
  const pairs = await pairTables(platform.connections, SOURCE, TARGET)
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss)
  }, 10)
  const move = { source: SOURCE, target: TARGET, tenantId } as MoveRecord
  const ms = await onEmptyTarget(platform, () => copyAll(platform.connections, move, pairs, () => {}))
  clearInterval(timer)
  await platform.connections.use(TARGET, (client) => client.query('truncate public.shipment'))
  return { rows, ms: round(ms, 0), beforeMb: round(before / MB, 0), mostMb: round(most / MB, 0) }
}

async function onEmptyTarget(platform: MovePlatform, work: () => Promise<unknown>): Promise<number> {
  await platform.connections.use(TARGET, (client) => client.query('truncate public.shipment'))
  const beganMs = performance.now()
  await work()
  return performance.now() - beganMs
}

async function copyBare({ connections }: MovePlatform, tenantId: string): Promise<void> {
  await connections.use(SOURCE, (source) =>
    connections.use(TARGET, async (target) => {
      const rows = `copy (select * from public.shipment where tenant_id = '${tenantId}') to stdout`
      await pipeline(source.query(copyTo(rows)), target.query(copyFrom('copy public.shipment from stdin')))
    }),
  )
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
