import type { Rowhouse } from 'rowhouse'
import type { ControlPlane } from '../../src/control-plane.ts'
import type { Model } from '../../src/placing/placement-rules.ts'
import { writeAlong } from './history.ts'

export interface MovesDone {
  readonly moves: number
  readonly reverted: number
  readonly acknowledged: number
  readonly lost: number
  readonly duplicated: number
  readonly stale: number
  readonly orphans: number
  readonly failures: readonly string[]
  readonly pauseMs: { readonly p50: number; readonly p99: number; readonly max: number }
}

const HOMES: readonly (readonly [Model, string])[] = (['pooled', 'schema', 'database'] as const).flatMap((model) =>
  (['main', 'old-1'] as const).map((server) => [model, server] as const),
)

/** Moves tenant `mover` so often between random homes while it writes; every fourth move is reverted, the others completed. */
export async function runMoves(
  plane: ControlPlane,
  app: Rowhouse,
  { count, seed }: { readonly count: number; readonly seed: number },
): Promise<MovesDone> {
  const next = random(seed)
  const load = writeAlong(app, 'mover')
  const pauses: number[] = []
  let reverted = 0
  for (let n = 0; n < count; n += 1) {
    const now = (await plane.tenants.find('mover'))?.placement
    const others = HOMES.filter(([model, server]) => model !== now?.model || server !== now.server)
    const [model, server] = others[Math.floor(next() * others.length)] as (typeof HOMES)[number]
    const request = { tenant: 'mover', to: { model, server }, reason: `move ${n} of ${count}`, requestedBy: 'soak' }
    const { id, progress } = await plane.moves.start(request)
    pauses.push(progress.pauseMs ?? Number.NaN)
    const back = next() < 0.25
    if (back) reverted += 1
    await (back ? plane.moves.revert(id) : plane.moves.complete(id))
  }
  const { acknowledged, lost, duplicated, stale, failures } = await load.stop()
  pauses.sort((a, b) => a - b)
  const at = (part: number) => pauses[Math.min(pauses.length - 1, Math.floor(pauses.length * part))] ?? Number.NaN
  return {
    moves: count,
    reverted,
    acknowledged,
    lost: lost.length,
    duplicated: duplicated.length,
    stale: stale.length,
    orphans: (await plane.findOrphans()).length,
    failures: [...new Set(failures)],
    pauseMs: { p50: at(0.5), p99: at(0.99), max: pauses.at(-1) ?? Number.NaN },
  }
}

/** mulberry32. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
