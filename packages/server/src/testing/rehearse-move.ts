import { setTimeout as delay } from 'node:timers/promises'
import { isRowhouseError } from 'rowhouse'
import type { MoveRecord } from '../move/move-record.ts'
import { listTenantTables } from '../tenant-data/tenant-tables.ts'
import { keepDoing, type Load } from './load.ts'
import type { RehearsedEnd, RehearsedMove, RehearsedPlace } from './rehearsal-report.ts'
import { requireScratch, type Stage, settleMoves } from './stage.ts'
import { differingTables, digestTenant, type TenantDigest } from './tenant-digest.ts'

const POLL_MS = 20
/** Between two writes of a writer: at most 50 per second each, which a laptop serves beside the move. */
const PACE_MS = 20

/** Writes as the tenant that is moved, until it is stopped. */
function keepWriting({ app, mover, options, nextWrite }: Stage): Load {
  return keepDoing(
    options.writers,
    async () => {
      const n = nextWrite()
      try {
        mover.history.wrote(await app.withTenant(mover.slug, (db) => options.write(db, n)))
      } catch (error) {
        mover.history.failed(error)
      }
    },
    PACE_MS,
  )
}

/** Reads what the registry's home of a tenant holds. */
export async function digestAtHome(stage: Stage, slug: string): Promise<TenantDigest> {
  const { placement, id } = await requireScratch(stage, slug)
  return digestTenant(stage.connections, placement, id)
}

/**
 * Moves the tenant while it writes, and ends the move while nobody does: then not a row may change any more.
 *
 * @param judge  called between the two, when nobody writes
 */
export async function rehearseMove(
  stage: Stage,
  to: RehearsedPlace,
  ending: 'completed' | 'reverted',
  judge: () => Promise<void>,
): Promise<RehearsedMove> {
  return observe(stage, to, async () => {
    const load = keepWriting(stage)
    let move: MoveRecord
    try {
      await load.round()
      move = await stage.plane.moves.start(requestOf(stage, to))
      await load.round()
    } finally {
      await load.stop()
    }
    const pausesMs = [move.progress.pauseMs ?? 0]
    await judge()
    const before = await digestAtHome(stage, stage.mover.slug)
    if (ending === 'reverted') {
      const { progress } = await stage.plane.moves.revert(move.id)
      pausesMs.push(progress.pauseMs ?? 0)
    } else {
      await stage.plane.moves.complete(move.id)
    }
    const changedTables = differingTables(before, await digestAtHome(stage, stage.mover.slug))
    return { ended: ending, pausesMs, changedTables }
  })
}

/** Begins a move and aborts it before rows are copied: then nothing may have happened. */
export function rehearseAbort(stage: Stage, to: RehearsedPlace): Promise<RehearsedMove> {
  const { mover, plane } = stage
  return observe(stage, to, async () => {
    const before = await digestAtHome(stage, mover.slug)
    const error = await whileHeld(stage, async (release) => {
      const known = new Set((await plane.moves.list(mover.slug)).map(({ id }) => id))
      let over = false
      const end = (reason: unknown) => {
        over = true
        return reason
      }
      const moving = plane.moves.start(requestOf(stage, to)).then(() => end(undefined), end)
      while (!over) {
        const begun = (await plane.moves.list(mover.slug)).find(({ id }) => !known.has(id))
        if (begun !== undefined) {
          await plane.moves.abort(begun.id)
          break
        }
        await delay(POLL_MS) // bounded poll: the move begins, or is refused
      }
      await release()
      return moving
    })
    if (error === undefined) throw new Error('the move was switched although it was aborted')
    if (codeOf(error) !== 'ERR_MOVE_ABORTED') throw error
    const changedTables = differingTables(before, await digestAtHome(stage, mover.slug))
    return { ended: 'aborted', pausesMs: [], changedTables, ...factsOf(error) }
  })
}

interface Ended {
  readonly ended: RehearsedEnd
  readonly pausesMs: readonly number[]
  readonly changedTables: readonly string[]
  readonly code?: string
  readonly message?: string
}

/** Puts down what happened; a move that fails is a finding and no end of the rehearsal. */
async function observe(stage: Stage, to: RehearsedPlace, work: () => Promise<Ended>): Promise<RehearsedMove> {
  const { mover, neighbour } = stage
  const { model, server } = (await requireScratch(stage, mover.slug)).placement
  const before = await digestAtHome(stage, neighbour.slug)
  const known = mover.history.acknowledged
  const began = performance.now()
  const ended = await work().catch(async (error: unknown): Promise<Ended> => {
    if (!isRowhouseError(error)) throw error
    await settleMoves(stage.plane, mover.slug)
    return { ended: 'refused', pausesMs: [], changedTables: [], ...factsOf(error) }
  })
  const move: RehearsedMove = {
    from: { model, server },
    to,
    ...ended,
    acknowledged: mover.history.acknowledged - known,
    ms: performance.now() - began,
    neighbourChangedTables: differingTables(before, await digestAtHome(stage, neighbour.slug)),
  }
  stage.options.onEvent({ kind: 'moved', move })
  return move
}

/** Holds a table as a neighbour's open transaction does, so that a move waits before it captures keys. */
async function whileHeld<T>(stage: Stage, fn: (release: () => Promise<unknown>) => Promise<T>): Promise<T> {
  const { placement } = await requireScratch(stage, stage.mover.slug)
  return stage.connections.use(placement, async (client) => {
    const [table] = await listTenantTables(client, placement.schema ?? 'public')
    if (table === undefined) throw new TypeError('Cannot rehearse moves: the migrations make no table of tenants')
    await client.query(`begin; lock table ${table.from} in row exclusive mode`)
    return fn(() => client.query('rollback'))
  })
}

function requestOf({ mover }: Stage, to: RehearsedPlace) {
  return { tenant: mover.slug, to, reason: 'a rehearsal of a move', requestedBy: 'rehearsal' }
}

export function factsOf(error: unknown): { readonly code?: string; readonly message: string } {
  const code = codeOf(error)
  return { ...(code !== undefined && { code }), message: error instanceof Error ? error.message : String(error) }
}

function codeOf(error: unknown): string | undefined {
  return isRowhouseError(error) ? error.code : undefined
}
