import type { Model } from '../../placing/placement-rules.ts'
import type { OperatorConnections } from '../../registry/operator-connections.ts'

/** How long moves take. */
export interface Pace {
  readonly moveMs: number
  /** For people. */
  readonly why: string
}

/**
 * What does not depend on how much there is: steps of the journal, making a home. Rounded up from single moves of small
 * tenants on two cores (0.6 to 1 s), twice for two at one time; a figure to begin with, until this platform has moved a few.
 */
const MOVE_MS: Readonly<Record<Model, number>> = { pooled: 1_600, schema: 1_800, database: 2_200 }
/** Copied and compared: a careful guess. */
const BYTES_PER_MS = 10_000
/** Below, the middle one says little. */
const ENOUGH_MOVES = 3

/** Reads how long moves of this platform to a model took; falls back on figures of another machine. */
export async function readPace(connections: OperatorConnections, model: Model): Promise<Pace> {
  const { rows } = await connections.central.query<{ moves: number; ms: number | null }>(
    `select count(*)::int as moves, percentile_cont(0.5) within group (order by ms) as ms
       from (select extract(epoch from switched_at - started_at)::float8 * 1000 as ms from rowhouse.move
              where switched_at is not null and state <> 'reverted' and target ->> 'model' = $1
              order by started_at desc limit 20) recent`,
    [model],
  )
  const { moves = 0, ms = null } = rows[0] ?? {}
  if (moves < ENOUGH_MOVES || ms === null) {
    return { moveMs: MOVE_MS[model], why: 'estimated from moves on another machine' }
  }
  return { moveMs: ms, why: `the middle of the last ${moves} moves of this platform to that model (measured)` }
}

export function expectedMs({ moveMs }: Pace, bytes: number): number {
  return Math.round(moveMs + bytes / BYTES_PER_MS)
}
