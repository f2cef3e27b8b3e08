import { TenantError } from 'rowhouse'
import type { TenantAdmin } from 'rowhouse/install'
import { assertNotHeld } from '../lifecycle/legal-hold.ts'
import { toLifecycleError } from '../lifecycle/lifecycle-error.ts'
import { defineWork, type Journal } from '../provision/journal.ts'
import { revive } from '../provision/run-outcome.ts'
import { CENTRAL, type OperatorConnections } from '../registry/operator-connections.ts'
import { assertAllowed } from './assert-allowed.ts'
import { type BulkMoves, createBulkMoves } from './bulk/bulk-moves.ts'
import { enterMove, inspectMove, type MoveRequest } from './enter-move.ts'
import { listMoves, type MoveHome, type MoveRecord, type MoveState, noteMove, readMove } from './move-record.ts'
import { completeMove, type MoveOutcome, type Mover, moveTenant, revertMove } from './mover.ts'
import { tablesOf } from './preflight.ts'

/** What a move would do, step by step; nothing has been made. */
export interface MovePlan {
  readonly slug: string
  readonly source: MoveHome
  readonly target: MoveHome
  readonly tables: readonly { readonly name: string; readonly rows: number; readonly bytes: number }[]
  readonly steps: readonly string[]
  /** Where the data lie now and where they would. */
  readonly regions: { readonly from: string; readonly to: string }
  /** What speaks against the move and does not forbid it: rules that choose otherwise, a legal hold, a region that is left. */
  readonly warnings: readonly string[]
}

/**
 * Moves tenants between placements while they work.
 *
 * Besides what each says: `ERR_MOVE_NOT_FOUND`, `ERR_MOVE_STATE` for what a move of that state does not allow,
 * `ERR_DATABASE_UNAVAILABLE`, `ERR_CONFIG_INVALID` for a server whose URL this process does not have.
 */
export interface Moves {
  /** Looks at everything a move needs, and says what it would do. Throws as `start` does. */
  plan(request: MoveRequest): Promise<MovePlan>
  /**
   * Moves a tenant and waits until the registry names the new home. The old one is kept, closed, until `complete`; until
   * then `revert` brings the tenant back with everything it wrote. A process that dies is replaced by the next one.
   *
   * @throws {TenantError} `ERR_TENANT_NOT_FOUND`; `ERR_MOVE_IMPOSSIBLE` with what stands in the way; `ERR_MOVE_DIVERGED`
   *   when the copy is not the original; `ERR_MOVE_ABORTED`. The tenant is where it was, and the copy is removed.
   *   `ERR_CAUSE_INVALID` for who asks or why
   * @throws {MigrationError} `ERR_PRIVILEGE_MISSING`, `ERR_MIGRATION_LOCKED`
   */
  start(request: MoveRequest): Promise<MoveRecord>
  /** Newest first. */
  list(tenant?: string): Promise<MoveRecord[]>
  find(id: string): Promise<MoveRecord>
  /** The copy waits after its next round; the tenant works on. */
  pause(id: string): Promise<MoveRecord>
  /** Lets a paused move go on. Of one that nobody carries out, because its process died right away, it does the work. */
  resume(id: string): Promise<MoveRecord>
  /** Ends a move before the switch. */
  abort(id: string): Promise<MoveRecord>
  /** Many tenants as one. */
  readonly many: BulkMoves
  /** Brings a switched tenant back, with what it wrote since. */
  revert(id: string): Promise<MoveRecord>
  /**
   * Removes the old home.
   *
   * @throws {TenantError} `ERR_TENANT_HELD` while the tenant is under legal hold: its old home is kept with it
   */
  complete(id: string): Promise<MoveRecord>
}

/** What moves of this process are done with; a journal's run holds ids only. */
let present: Mover | undefined

export function setMover(mover: Mover | undefined): void {
  present = mover
}

function requireMover(): Mover {
  if (present === undefined) throw new Error('Cannot go on with a move: the control plane is closed')
  return present
}

const moveWork = defineWork<{ id: string }, MoveOutcome>('move-tenant', ({ id }, run) =>
  moveTenant(requireMover(), id, run),
)
const revertWork = defineWork<{ id: string }, MoveOutcome>('revert-move', ({ id }, run) =>
  revertMove(requireMover(), id, run),
)
const completeWork = defineWork<{ id: string }, MoveOutcome>('complete-move', ({ id }, run) =>
  completeMove(requireMover(), id, run),
)

export function createMoves(journal: Journal, mover: Mover, tenants: TenantAdmin): Moves {
  const { connections } = mover
  const find = (id: string) => connections.transact(CENTRAL, (client) => readMove(client, id))
  const run = (id: string) => journal.run(moveWork, `move:${id}`, { id })
  const carryOn = async (id: string) => throwUnless(await run(id))
  /** Who entered the move may have died before its run began: then nobody else would obey. */
  const hasRun = async (id: string) => (await journal.find(`move:${id}`)) !== undefined
  const wish = (id: string, wanted: 'pause' | 'abort' | null, verb: string) =>
    setWish(connections, id, wanted, verb).then(() => find(id))
  const moves: Omit<Moves, 'many'> = {
    plan: async (request) => plan(mover, tenants, request),
    start: async (request) => {
      const { ends, rows } = await look(mover, tenants, request)
      const id = await enterMove(mover, ends, request, { rows })
      await carryOn(id)
      return find(id)
    },
    list: (tenant) => listMoves(connections, tenant),
    find,
    pause: (id) => wish(id, 'pause', 'pause'),
    resume: async (id) => {
      const move = await wish(id, null, 'resume')
      if (await hasRun(id)) return move
      await carryOn(id)
      return find(id)
    },
    abort: async (id) => {
      const move = await wish(id, 'abort', 'abort')
      if (await hasRun(id)) return move
      await run(id)
      return find(id)
    },
    revert: async (id) => {
      const move = await requireState(connections, id, ['switched', 'reverting'], 'revert')
      throwUnless(await journal.run(revertWork, `revert:${id}:${move.changedAt.getTime()}`, { id }))
      return find(id)
    },
    complete: async (id) => {
      const move = await requireState(connections, id, ['switched', 'completing'], 'complete')
      const action = `complete the move of tenant "${move.slug}"`
      await assertNotHeld(connections.central, move.tenantId, action)
      await noteMove(connections, id, { state: 'completing' }).catch((error) => {
        throw toLifecycleError(error, action)
      })
      throwUnless(await journal.run(completeWork, `complete:${id}:${move.changedAt.getTime()}`, { id }))
      return find(id)
    },
  }
  return { ...moves, many: createBulkMoves(mover, tenants, { ...moves, carryOn }) }
}

const STEPS = (source: MoveHome, target: MoveHome) => [
  `make ${target.model === 'pooled' ? 'nothing: the shared tables' : `the ${target.model}`} on server "${target.server}", keep migrations out of both homes`,
  `capture the keys of rows the tenant changes on server "${source.server}"`,
  'copy all rows from one snapshot',
  'copy rows that changed meanwhile, until few are left',
  'compare every row of both homes',
  'fence the tenant, copy and compare the last rows, admit it in the new home, switch the registry',
  'keep the old home, closed, until the move is completed or reverted',
]

async function plan(mover: Mover, tenants: TenantAdmin, request: MoveRequest): Promise<MovePlan> {
  const { ends, tables, rows } = await look(mover, tenants, request)
  const { slug, source, target } = ends
  const { outsideRegion = false } = request
  const { central } = mover.connections
  const { regions, warnings } = await assertAllowed(central, mover.rules, ends, { outsideRegion, rows })
  return { slug, source, target, tables, steps: STEPS(source, target), regions, warnings }
}

async function look(mover: Mover, tenants: TenantAdmin, request: MoveRequest) {
  const { connections } = mover
  const ends = await inspectMove(mover, tenants, request)
  const { id, source } = ends
  const tables: { name: string; rows: number; bytes: number }[] = []
  for (const { name, from, oid } of await tablesOf(connections, source)) {
    const { rows } = await connections.use(source, (client) =>
      client.query<{ rows: number; bytes: string }>(
        `select count(*)::int as rows, case when $2 = 'pooled' then null else pg_total_relation_size($1::oid) end::text as bytes
           from ${from} where tenant_id = $3`,
        [oid, source.model, id],
      ),
    )
    tables.push({ name, rows: rows[0]?.rows ?? 0, bytes: Number(rows[0]?.bytes ?? 0) })
  }
  return { ends, tables, rows: tables.reduce((sum, table) => sum + table.rows, 0) }
}

async function requireState(
  connections: OperatorConnections,
  id: string,
  wanted: readonly MoveState[],
  verb: string,
): Promise<MoveRecord> {
  const move = await connections.transact(CENTRAL, (client) => readMove(client, id))
  if (wanted.includes(move.state)) return move
  throw wrongState(move, verb)
}

const BEFORE_THE_CUT: readonly MoveState[] = ['planned', 'preparing', 'copying', 'catching-up']

async function setWish(
  connections: OperatorConnections,
  id: string,
  wanted: 'pause' | 'abort' | null,
  verb: string,
): Promise<void> {
  const move = await connections.transact(CENTRAL, async (client) => {
    await client.query(
      `update rowhouse.move set wish = $2, changed_at = now() where id::text = $1
          and state = any ($3)`,
      [id, wanted, BEFORE_THE_CUT],
    )
    return readMove(client, id)
  })
  if (!BEFORE_THE_CUT.includes(move.state)) throw wrongState(move, verb)
}

function wrongState(move: MoveRecord, verb: string): TenantError {
  return new TenantError('ERR_MOVE_STATE', `Cannot ${verb} the move of tenant "${move.slug}": it is ${move.state}`)
}

function throwUnless(outcome: MoveOutcome): void {
  if (outcome.ok) return
  throw revive(outcome.error) ?? new TenantError('ERR_MOVE_ABORTED', outcome.error.message)
}
