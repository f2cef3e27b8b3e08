import { setTimeout as delay } from 'node:timers/promises'
import { isRowhouseError } from 'rowhouse'
import type { MovePlatform } from './move-platform.ts'

/** A move that has copied all rows, captures keys, and goes no further. */
export interface HeldMove {
  /** From the begin of the copy until all rows were there. */
  readonly copyMs: number
  /** Takes everything back. */
  abort(): Promise<void>
}

const POLL_MS = 20
const COPYING: readonly string[] = ['planned', 'preparing', 'copying']

/** Starts a move into the shared tables of `old-1` and pauses it behind the copy, as an operator could. */
export async function holdMove({ plane, admin }: MovePlatform, tenant: string): Promise<HeldMove> {
  const to = { model: 'pooled', server: 'old-1' } as const
  let failed: unknown
  const running = plane.moves.start({ tenant, to, reason: 'benchmark', requestedBy: 'bench' }).catch((error) => {
    failed = error
  })
  const look = async () => {
    if (failed !== undefined) throw failed
    return (await plane.moves.list(tenant)).find(({ state }) => COPYING.includes(state) || state === 'catching-up')
  }
  let move = await look()
  for (; move === undefined; move = await look()) await delay(POLL_MS) // until it is entered, or fails
  const { id } = move
  await plane.moves.pause(id)
  for (; move?.state !== 'catching-up'; move = await look()) await delay(POLL_MS) // until it is copied, or fails
  const { rows } = await admin.query<{ ms: number }>(
    `select extract(epoch from max(at) filter (where state = 'catching-up') - min(at) filter (where state = 'copying'))::float * 1000 as ms
       from bench_move_state where move_id = $1`,
    [id],
  )
  return {
    copyMs: rows[0]?.ms ?? 0,
    abort: async () => {
      await plane.moves.abort(id)
      await running
      if (!isRowhouseError(failed) || failed.code !== 'ERR_MOVE_ABORTED') throw failed
    },
  }
}

/** Writes down when moves go from state to state; the registry keeps the last time only. */
export async function recordStates({ admin }: MovePlatform): Promise<void> {
  await admin.query(`
    create table bench_move_state (move_id uuid, state text, at timestamptz default clock_timestamp());
    grant all on bench_move_state to public;
    create function bench_note_state() returns trigger language plpgsql as
      'begin insert into public.bench_move_state (move_id, state) values (new.id, new.state); return null; end';
    create trigger bench_note_state after update on rowhouse.move for each row
      when (old.state is distinct from new.state) execute function bench_note_state()`)
}
