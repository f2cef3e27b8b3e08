import { setTimeout as delay } from 'node:timers/promises'
import { isRowhouseError, type Logger, TenantError } from 'rowhouse'
import { assertNotHeld } from '../lifecycle/legal-hold.ts'
import type { CompiledRules } from '../placing/compile-rules.ts'
import type { RunStep } from '../provision/journal.ts'
import { bringUpToDate, hasNamespace, makeNamespace, type Workshop } from '../provision/namespace.ts'
import type { ChosenHome } from '../provision/register.ts'
import { type FailedRun, failedRun } from '../provision/run-outcome.ts'
import { CENTRAL } from '../registry/operator-connections.ts'
import { startCapture, stopCapture } from './capture.ts'
import { copyReferences } from './copy-references.ts'
import { cut, type Leg, letIn } from './cut.ts'
import { freezeHomes, thawHomes } from './freeze-homes.ts'
import { backId, type MoveRecord, noteMove, readMove } from './move-record.ts'
import { assertEmpty, pairTables, tablesOf } from './preflight.ts'
import { removeHome } from './remove-home.ts'
import { catchUp, catchUpAndCompare, copyAll } from './transfer.ts'
import { copying, cutting } from './turns.ts'
import { waitForRestore } from './wait-for-restore.ts'

/** What moves are done with. */
export interface Mover extends Workshop {
  /** What a move is held to. */
  readonly rules: CompiledRules
  readonly log: Logger
  /** After this long, transactions of the tenant that do not end are ended at the cut, in milliseconds. */
  readonly cancelAfterMs: number
  /** How long the cut may shut the tenant out once nothing of it runs, in milliseconds. */
  readonly fenceTimeoutMs: number
}

/** How a piece of work on a move ended. Journalled, so plain data. */
export type MoveOutcome = { readonly ok: true } | FailedRun

/** The cut is made when no more keys than this wait: they are copied while the tenant waits. */
const FEW_KEYS = 200
const MAX_ROUNDS = 1_000
/** An hour: a server that is away for longer needs somebody who looks. */
const UNDO_ATTEMPTS = 3_600
const UNDO_PAUSE_MS = 1_000
const NOTE_EVERY_MS = 500
const PAUSED_POLL_MS = 500

/**
 * Moves a tenant to where its record says, until the registry names the new home. Each step looks at what is there, so
 * that a step cut short is done again; when one fails for good, the tenant stays where it was and the copy is removed.
 */
export async function moveTenant(mover: Mover, id: string, run: RunStep): Promise<MoveOutcome> {
  try {
    await run('prepare', () => prepare(mover, id))
    await run('capture', () => capture(mover, id))
    await run('copy', () => copy(mover, id))
    await run('catch up', () => settleDown(mover, id))
    await run('cut', () => switchOver(mover, id))
  } catch (error) {
    if (!(await run('look', () => hasSwitched(mover, id)))) {
      await run('abort', () => persistently(mover, () => abort(mover, id, messageOf(error))))
      return failed('move', error)
    }
    mover.log.warn({ err: error, move: id }, 'a move failed after its switch: the tenant is in its new home')
  }
  await run('leave', () => leaveSource(mover, id))
  return { ok: true }
}

/** Takes a switched tenant back to where it was, with everything it wrote since. */
export async function revertMove(mover: Mover, id: string, run: RunStep): Promise<MoveOutcome> {
  try {
    await run('revert: catch up', () => settleBack(mover, id))
    await run('revert: cut', () => switchBack(mover, id))
  } catch (error) {
    await run('revert: stay', () => persistently(mover, () => stay(mover, id, messageOf(error))))
    return failed('revert', error)
  }
  await run('revert: clean', () => cleanAfterRevert(mover, id))
  return { ok: true }
}

/** Removes the old home of a switched tenant. From here on there is no way back but another move. */
export async function completeMove(mover: Mover, id: string, run: RunStep): Promise<MoveOutcome> {
  try {
    await run('complete', async () => {
      const { connections } = mover
      const move = await read(mover, id)
      // A hold may have been placed since the removal began: what is left of the old home is kept.
      await assertNotHeld(connections.central, move.tenantId, `complete the move of tenant "${move.slug}"`)
      await stopCapture(connections, move.target, await tablesOf(connections, move.target), backId(id), true)
      if (await hasNamespace(mover, { ...toChosen(move), ...move.source })) {
        await stopCapture(connections, move.source, await tablesOf(connections, move.source), id, false)
      }
      await removeHome(connections, move.source, move.target, move.tenantId)
      await noteMove(connections, id, { state: 'completed', error: null })
    })
    return { ok: true }
  } catch (error) {
    await run('complete: note', () => noteMove(mover.connections, id, { error: messageOf(error) }))
    return failed('complete', error)
  }
}

async function prepare(mover: Mover, id: string): Promise<void> {
  const { connections } = mover
  await obeyAbort(mover, id)
  await noteMove(connections, id, { state: 'preparing', error: null })
  const move = await read(mover, id)
  const home = toChosen(move)
  await copying.take(async () => {
    if (!(await hasNamespace(mover, home))) {
      await noteMove(connections, id, { progress: { madeHome: true } })
      await makeNamespace(mover, home)
    }
    await bringUpToDate(mover, home)
    if (home.model === 'database') await copyReferences(connections, move)
  })
  await cutting.take(() => freezeHomes(connections, move))
  await pairTables(connections, move.source, move.target)
  // Rows of an interrupted copy are removed before the copy; rows from before this move are somebody's.
  if (move.progress.copiedRows === undefined) await assertEmpty(connections, move.target, move.tenantId)
}

async function capture(mover: Mover, id: string): Promise<void> {
  const { connections } = mover
  const move = await read(mover, id)
  await waitForRestore(connections, mover.rootKey.deriveLockKey(move.tenantId), move.source)
  await startCapture(connections, move.source, await tablesOf(connections, move.source), move.tenantId, id)
}

async function copy(mover: Mover, id: string): Promise<void> {
  const { connections } = mover
  await noteMove(connections, id, { state: 'copying', progress: { copiedRows: 0, copiedBytes: 0 } })
  const move = await read(mover, id)
  const pairs = await pairTables(connections, move.source, move.target)
  let noted = 0
  let last: Promise<void> = Promise.resolve()
  const onProgress = (copiedRows: number, copiedBytes: number) => {
    if (performance.now() - noted < NOTE_EVERY_MS) return
    noted = performance.now()
    last = noteMove(connections, id, { progress: { copiedRows, copiedBytes } }).catch(() => {})
  }
  await copying.take(() => copyAll(connections, move, pairs, onProgress, () => obeyAbort(mover, id)))
  await last
  await noteMove(connections, id, { state: 'catching-up' })
}

async function settleDown(mover: Mover, id: string): Promise<void> {
  const { connections } = mover
  const move = await read(mover, id)
  const pairs = await pairTables(connections, move.source, move.target)
  // For the way back, which begins with the switch; until then it keeps others from truncating what was copied.
  await startCapture(connections, move.target, await tablesOf(connections, move.target), move.tenantId, backId(id))
  await untilFew(mover, id, () => catchUp(connections, move, move.source, move.target, pairs))
  const verified = await copying.take(() => catchUpAndCompare(connections, move, move.source, move.target, pairs))
  await noteMove(connections, id, { progress: { verified } })
  await untilFew(mover, id, () => catchUp(connections, move, move.source, move.target, pairs), FEW_KEYS)
}

/** Copies changed rows until few are left; each round is shorter than the one before, or the tenant writes too fast. */
async function untilFew(mover: Mover, id: string, round: () => Promise<number>, few = FEW_KEYS): Promise<void> {
  for (let n = 0; n < MAX_ROUNDS; n += 1) {
    await obeyWish(mover, id)
    const lag = await copying.take(round)
    await noteMove(mover.connections, id, { progress: { lag } })
    if (lag <= few) return
  }
  throw new TenantError(
    'ERR_MOVE_IMPOSSIBLE',
    `Cannot move the tenant: after ${MAX_ROUNDS} rounds more than ${few} rows changed in each; move it when it writes less`,
  )
}

async function switchOver(mover: Mover, id: string): Promise<void> {
  const { connections } = mover
  await obeyWish(mover, id)
  const move = await read(mover, id)
  // The process that switched it died before it could say so.
  if (move.state === 'switched') return
  await noteMove(connections, id, { state: 'cutting' })
  const pairs = await pairTables(connections, move.source, move.target)
  const pauseMs = await cutting.take(() => cut(mover, move, forward(move), pairs))
  await noteMove(connections, id, { progress: { pauseMs: Math.round(pauseMs) } })
}

async function hasSwitched(mover: Mover, id: string): Promise<boolean> {
  return (await read(mover, id)).state === 'switched'
}

async function leaveSource(mover: Mover, id: string): Promise<void> {
  const { connections } = mover
  const move = await read(mover, id)
  await stopCapture(connections, move.source, await tablesOf(connections, move.source), id, false)
  await cutting.take(() => thawHomes(connections, move))
}

/** Leaves everything as it was before the move. */
async function abort(mover: Mover, id: string, why: string): Promise<void> {
  const { connections } = mover
  const move = await read(mover, id)
  // With the placement locked, as a cut has it: none begins after this.
  const home = await cutting.take(() =>
    letIn(mover, move, forward(move), (central) =>
      central.query(`update rowhouse.move set state = 'aborting', changed_at = now() where id = $1`, [id]),
    ),
  )
  if (!home) throw new TenantError('ERR_MOVE_STATE', 'Cannot abort the move: the tenant has been switched')
  await stopCapture(connections, move.source, await tablesOf(connections, move.source), id, true)
  const ours = move.progress.madeHome === true || move.progress.copiedRows !== undefined
  await cutting.take(() => thawHomes(connections, move))
  if (await hasNamespace(mover, toChosen(move))) {
    await stopCapture(connections, move.target, await tablesOf(connections, move.target), backId(id), false)
    if (ours) await removeHome(connections, move.target, move.source, move.tenantId)
  }
  await noteMove(connections, id, { state: 'aborted', error: why })
}

/**
 * Tries until it is done: a tenant whose server went away while it was fenced is let in again when the server is back,
 * by this process or the one that takes over.
 */
async function persistently(mover: Mover, work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work()
      return
    } catch (error) {
      mover.log.error({ err: error, attempt }, 'a move cannot be undone yet: trying again')
      if (attempt === UNDO_ATTEMPTS) throw error
      await delay(UNDO_PAUSE_MS) // bounded: UNDO_ATTEMPTS
    }
  }
}

async function settleBack(mover: Mover, id: string): Promise<void> {
  const { connections } = mover
  await noteMove(connections, id, { state: 'reverting', error: null })
  const move = await read(mover, id)
  if (await isBack(mover, move)) return
  const pairs = await pairTables(connections, move.target, move.source)
  const back = { ...move, id: backId(id) }
  await untilFew(mover, id, () => catchUp(connections, back, move.target, move.source, pairs))
  const verified = await copying.take(() => catchUpAndCompare(connections, back, move.target, move.source, pairs))
  await noteMove(connections, id, { progress: { verified } })
}

async function switchBack(mover: Mover, id: string): Promise<void> {
  const move = await read(mover, id)
  if (await isBack(mover, move)) return
  const pairs = await pairTables(mover.connections, move.target, move.source)
  const pauseMs = await cutting.take(() => cut(mover, move, backward(move), pairs))
  await noteMove(mover.connections, id, { progress: { pauseMs: Math.round(pauseMs) } })
}

/** The tenant goes on where it is, in the new home, unless it was switched back at the last moment. */
async function stay(mover: Mover, id: string, why: string): Promise<void> {
  const move = await read(mover, id)
  const stays = await cutting.take(() => letIn(mover, move, backward(move)))
  await noteMove(mover.connections, id, { ...(stays ? { state: 'switched' as const } : {}), error: why })
}

/** Tells whether an earlier attempt switched it back already: then the old home is ahead, and nothing is to be compared. */
async function isBack({ connections }: Mover, { tenantId, epoch }: MoveRecord): Promise<boolean> {
  const { rowCount } = await connections.transact(CENTRAL, (client) =>
    client.query('select from rowhouse.placement where tenant_id = $1 and epoch = $2', [tenantId, epoch + 2]),
  )
  return rowCount === 1
}

async function cleanAfterRevert(mover: Mover, id: string): Promise<void> {
  const { connections } = mover
  const move = await read(mover, id)
  if (await hasNamespace(mover, toChosen(move))) {
    await stopCapture(connections, move.target, await tablesOf(connections, move.target), backId(id), false)
    await removeHome(connections, move.target, move.source, move.tenantId)
  }
  await cutting.take(() => thawHomes(connections, move))
  await noteMove(connections, id, { state: 'reverted', error: null })
}

function forward({ id, source, target, epoch }: MoveRecord): Leg {
  return { from: source, to: target, epoch, captureId: id, during: 'cutting', reached: 'switched' }
}

function backward({ id, source, target, epoch }: MoveRecord): Leg {
  return {
    from: target,
    to: source,
    epoch: epoch + 1,
    captureId: backId(id),
    during: 'reverting',
    reached: 'reverting',
  }
}

/** Does what the operator asked for since: waits while paused, ends when told to. */
async function obeyWish(mover: Mover, id: string): Promise<void> {
  for (;;) {
    if ((await obeyAbort(mover, id)) === undefined) return
    await delay(PAUSED_POLL_MS) // until the operator says otherwise
  }
}

/** Between two tables of a copy, whose transactions are not held open for a pause. Returns what else is wished for. */
async function obeyAbort(mover: Mover, id: string): Promise<'pause' | undefined> {
  const { wish } = await read(mover, id)
  if (wish === 'abort') throw new TenantError('ERR_MOVE_ABORTED', 'Cannot finish the move: an operator aborted it')
  return wish
}

function read({ connections }: Mover, id: string): Promise<MoveRecord> {
  return connections.transact(CENTRAL, (client) => readMove(client, id))
}

function toChosen({ target, tenantId }: MoveRecord): ChosenHome {
  return { ...target, tenantId, claimed: false, region: '', why: '' }
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  if (isRowhouseError(error)) return message
  if (!isAltered(error)) return `Cannot move the tenant: PostgreSQL says: ${message}`
  return `Cannot move the tenant: somebody made, altered or dropped tables meanwhile: ${message}; move it again when that is over`
}

/** What a run failed with. What PostgreSQL says is put into words. */
function failed(step: string, error: unknown): FailedRun {
  const message = messageOf(error)
  const said = isAltered(error) ? new TenantError('ERR_MOVE_IMPOSSIBLE', message) : error
  const outcome = failedRun(step, said)
  return { ...outcome, error: { ...outcome.error, message } }
}

/** A table, column or type that was there when the step began. */
function isAltered(error: unknown): boolean {
  return ['42P01', '42703', '42704', '42804'].includes(String((error as { code?: unknown }).code))
}
