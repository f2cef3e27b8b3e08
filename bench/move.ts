import type { Model } from 'rowhouse-server'
import { type History, newHistory } from 'rowhouse-server/testing'
import { percentiles, round } from './measure.ts'
import { benchCopy, benchMemory } from './move-copy.ts'
import { recordStates } from './move-held.ts'
import { checkHistory, writeSteadily } from './move-load.ts'
import { addNeighbours, MOVED_ROWS, type MovePlatform, openMovePlatform } from './move-platform.ts'
import { benchReplication } from './move-replication.ts'

/** Round trips through all models, two servers and two majors. */
const LEGS: readonly (readonly [Model, string])[] = [
  ['database', 'old-1'],
  ['schema', 'main'],
  ['pooled', 'main'],
]
const ROUND_TRIPS = 4
const WRITES_PER_SECOND = 50
const NEIGHBOUR_WRITES_PER_SECOND = 20

/**
 * A tenant with 100,000 rows beside 500,000 of others moves while an application writes: what the application waits,
 * what is lost, how fast rows go over, and what capturing keys costs against what replication does.
 */
export async function benchMove() {
  const platform = await openMovePlatform()
  try {
    const tenantId = await platform.addTenant('mover', MOVED_ROWS)
    await addNeighbours(platform)
    const neighbourId = (await platform.plane.tenants.find('neighbour-0'))?.id ?? ''
    await recordStates(platform)
    const { copy, capture } = await benchCopy(platform, tenantId, neighbourId)
    const replication = await benchReplication(platform, tenantId)
    const small = await benchMemory(platform, 'mover', MOVED_ROWS)
    const moved = await benchMoves(platform)
    await platform.addTenant('large', 10 * MOVED_ROWS)
    const large = await benchMemory(platform, 'large', 10 * MOVED_ROWS)
    return { ...moved, copyRatio: copy.copyRatio, copy, memory: [small, large], capture, replication }
  } finally {
    await platform.close()
  }
}

async function benchMoves(platform: MovePlatform) {
  const { app, plane } = platform
  const history = newHistory()
  const neighbour = newHistory()
  const slowest: number[] = []
  const gaps: number[] = []
  const reported: number[] = []
  const tookMs: number[] = []
  const neighbourSlowest: number[] = []
  for (let trip = 0; trip < ROUND_TRIPS; trip++) {
    for (const [model, server] of LEGS) {
      const load = writeSteadily(app, 'mover', WRITES_PER_SECOND, history)
      const beside = writeSteadily(app, 'neighbour-0', NEIGHBOUR_WRITES_PER_SECOND, neighbour)
      const beganMs = performance.now()
      const to = { model, server }
      const move = await plane.moves.start({ tenant: 'mover', to, reason: 'benchmark', requestedBy: 'bench' })
      tookMs.push(performance.now() - beganMs)
      const seen = await load.stop()
      neighbourSlowest.push((await beside.stop()).slowestMs)
      slowest.push(seen.slowestMs)
      gaps.push(seen.longestGapMs)
      reported.push(move.progress.pauseMs ?? 0)
      await plane.moves.complete(move.id)
    }
  }
  const { lost, duplicated } = await checkHistory(app, 'mover', history)
  const control = await checkSpoiled(platform, history)
  return {
    moves: slowest.length,
    lost,
    duplicated,
    control,
    writes: history.acknowledged,
    failures: history.refused,
    pauseMs: pair(slowest),
    gapMs: pair(gaps),
    moverPauseMs: pair(reported),
    neighbourSlowestMs: pair(neighbourSlowest),
    moveMs: pair(tookMs),
  }
}

/** A checker that finds nothing proves nothing: one row is taken away and another one doubled behind the application's back. */
async function checkSpoiled({ app, admin }: MovePlatform, history: History) {
  const [gone, twice] = history.identities.filter((identity) => identity.startsWith('written-'))
  await admin.query('delete from shipment where reference = $1', [gone])
  await admin.query(
    'insert into shipment (tenant_id, reference) select tenant_id, reference from shipment where reference = $1',
    [twice],
  )
  return checkHistory(app, 'mover', history)
}

function pair(values: number[]) {
  const { p50Ms, p99Ms } = percentiles(values)
  return { p50: round(p50Ms, 0), p99: round(p99Ms, 0) }
}
