import { pipeline } from 'node:stream/promises'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { round } from './measure.ts'
import { captureSamples } from './move-capture.ts'
import { holdMove } from './move-held.ts'
import { MOVED_ROWS, type MovePlatform } from './move-platform.ts'

const ROUNDS = 7
const MB = 1_048_576
const SHARED = { database: undefined, schema: undefined }
const SOURCE = { server: 'main', ...SHARED }
const TARGET = { server: 'old-1', ...SHARED }

/**
 * The copy of a move against a bare `COPY TO | COPY FROM` of the same rows between the same tables, and what writes cost
 * while it captures keys, by turns.
 */
export async function benchCopy(platform: MovePlatform, tenantId: string, neighbourId: string) {
  const ours: number[] = []
  const bare: number[] = []
  const capture = captureSamples(platform, tenantId, neighbourId)
  for (let n = 0; n <= ROUNDS; n++) {
    await emptyTarget(platform)
    const bareMs = await copyBare(platform, tenantId)
    await emptyTarget(platform)
    const held = await holdMove(platform, 'mover')
    if (n > 0) await capture.measure('with')
    await held.abort()
    if (n > 0) await capture.measure('without')
    await capture.clean()
    // The first round fills caches.
    if (n > 0) bare.push(bareMs)
    if (n > 0) ours.push(held.copyMs)
  }
  await emptyTarget(platform)
  const [oursMs, bareMs] = [median(ours), median(bare)]
  const copy = {
    copyRatio: round(bareMs / oursMs),
    oursMs: round(oursMs, 0),
    bareMs: round(bareMs, 0),
    rowsPerSecond: Math.round((MOVED_ROWS * 1_000) / oursMs),
  }
  return { copy, capture: capture.report() }
}

/** What the process weighs at most while it copies a tenant, over what it weighed before. */
export async function benchMemory(platform: MovePlatform, slug: string, rows: number) {
  await emptyTarget(platform)
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss)
  }, 10)
  const held = await holdMove(platform, slug)
  clearInterval(timer)
  await held.abort()
  return { rows, ms: round(held.copyMs, 0), beforeMb: round(before / MB, 0), mostMb: round(most / MB, 0) }
}

async function emptyTarget({ connections }: MovePlatform): Promise<void> {
  await connections.use(TARGET, (client) => client.query('truncate public.shipment'))
}

async function copyBare({ connections }: MovePlatform, tenantId: string): Promise<number> {
  const beganMs = performance.now()
  await connections.use(SOURCE, (source) =>
    connections.use(TARGET, async (target) => {
      const rows = `copy (select * from public.shipment where tenant_id = '${tenantId}') to stdout`
      await pipeline(source.query(copyTo(rows)), target.query(copyFrom('copy public.shipment from stdin')))
    }),
  )
  return performance.now() - beganMs
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
