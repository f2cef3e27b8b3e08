import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { TenantError, UnavailableError } from 'rowhouse'
import type { RootKey } from 'rowhouse/install'
import { registerHome } from '../fleet/homes.ts'
import { CENTRAL, type OperatorConnections } from '../registry/operator-connections.ts'
import type { TablePair } from './captured-keys.ts'
import { admit, claimFence, fence, type Served, unfence } from './fence.ts'
import type { MoveHome, MoveRecord, MoveState } from './move-record.ts'
import { impossible } from './preflight.ts'
import { carrySequences, catchUpAndCompareLast } from './transfer.ts'

/** From where to where the tenant goes now, which for a revert is the other way round. */
export interface Leg {
  readonly from: MoveHome
  readonly to: MoveHome
  /** Epoch at `from`; the next one holds at `to`. */
  readonly epoch: number
  /** Under which its keys are captured. */
  readonly captureId: string
  /** State of the move while it is cut. */
  readonly during: MoveState
  /** State of the move when the registry names `to`. */
  readonly reached: MoveState
}

export interface Cutter {
  readonly connections: OperatorConnections
  readonly rootKey: RootKey
  readonly cancelAfterMs: number
  /** How long the tenant may be shut out once nothing of it runs, in milliseconds. */
  readonly fenceTimeoutMs: number
}

/**
 * Switches the tenant: fence, the last rows, the comparison, the new home admitted, the registry. Nobody else can change
 * the tenant meanwhile, because its placement stays locked; a process that dies leaves it fenced, and the next one that
 * does this goes on. Every failure before the registry was changed lets the tenant in again where it was; so does a
 * server that does not answer.
 *
 * @returns how long it was shut out, in milliseconds
 */
export async function cut(cutter: Cutter, move: MoveRecord, leg: Leg, pairs: readonly TablePair[]): Promise<number> {
  const { connections } = cutter
  await announce(connections, move)
  let began: number | undefined
  try {
    await connections.within(longestMs(cutter), noAnswer, () =>
      connections.use(CENTRAL, async (central) => {
        await central.query(`begin; set local role rowhouse_owner; ${connections.idleLimit()}`)
        const now = await lockPlacement(central, move)
        if (now.epoch === leg.epoch + 1) {
          await central.query('rollback')
          return
        }
        await assertStillMeant(central, move, leg)
        if (now.epoch !== leg.epoch) throw impossible('somebody else has moved it since')
        if (now.state !== 'active' && now.state !== 'suspended') throw impossible(`it is ${now.state}`)
        // Nobody is shut out for a server that is away.
        await connections.use(leg.to, (target) => target.query('select'))
        began = performance.now()
        await switchTo(cutter, central, move, leg, pairs, servedAs(now))
      }),
    )
  } catch (error) {
    // A commit whose answer is lost may have happened: then it is switched. Whether it has is asked again by who aborts.
    // Until it is let in, its requests are told to wait.
    const isBack = await letIn(cutter, move, leg).catch(() => true)
    if (began === undefined || isBack) throw error
  }
  return began === undefined ? 0 : performance.now() - began
}

function longestMs({ cancelAfterMs, fenceTimeoutMs }: Cutter): number {
  return 2 * cancelAfterMs + 1_000 + 2 * fenceTimeoutMs
}

async function switchTo(
  { connections, rootKey, cancelAfterMs, fenceTimeoutMs }: Cutter,
  central: pg.PoolClient,
  move: MoveRecord,
  leg: Leg,
  pairs: readonly TablePair[],
  state: Served,
): Promise<void> {
  const moved = { ...move, id: leg.captureId }
  const mark = randomUUID()
  try {
    await fence(connections, rootKey, move, leg.from, leg.epoch, { cancelAfterMs, mark })
    await connections.within(fenceTimeoutMs, noAnswer, async () => {
      await catchUpAndCompareLast(connections, moved, leg.from, leg.to, pairs)
      await carrySequences(connections, leg.from, leg.to, pairs)
      await admit(connections, move, leg.from, leg.to, leg.epoch + 1, state)
    })
    await enter(central, move, leg)
    await central.query('commit')
  } catch (error) {
    await central.query('rollback').catch(() => {})
    throw error
  }
}

/** Not to be tried again by itself: each time would shut the tenant out. */
function noAnswer(cause: unknown): TenantError {
  return new TenantError(
    'ERR_MOVE_ABORTED',
    'Cannot switch the tenant: a server did not answer in time while it was shut out; it is let in again where it was. Move it again when the network is well',
    { cause },
  )
}

function stillAway(cause: unknown): UnavailableError {
  return new UnavailableError('ERR_TIMEOUT', 'Cannot let the tenant in again yet: a server does not answer', { cause })
}

/** Says in the registry where the tenant lives from now on. */
async function enter(central: pg.PoolClient, move: MoveRecord, { to, epoch, reached }: Leg): Promise<void> {
  await central.query(
    `update rowhouse.placement set (server, model, database_name, schema_name, epoch, moving_since, changed_at)
       = ($2, $3, $4, $5, $6, null, now()) where tenant_id = $1`,
    [move.tenantId, to.server, to.model, to.database ?? null, to.schema ?? null, epoch + 1],
  )
  await central.query(
    `update rowhouse.move set state = $2, switched_at = now(), changed_at = now(), error = null where id = $1`,
    [move.id, reached],
  )
  if (to.model !== 'pooled') await registerHome(central, { ...to, tenantId: move.tenantId })
}

function servedAs({ state }: Now): Served {
  return state === 'active' ? 'active' : 'suspended'
}

interface Now {
  readonly epoch: number
  readonly state: string
}

async function lockPlacement(central: pg.PoolClient, { tenantId }: MoveRecord): Promise<Now> {
  const { rows } = await central.query<{ epoch: number; state: string }>(
    `select p.epoch, t.state from rowhouse.placement p join rowhouse.tenant t on t.id = p.tenant_id
      where p.tenant_id = $1 for update of p`,
    [tenantId],
  )
  const { epoch = 0, state = 'gone' } = rows[0] ?? {}
  return { epoch, state }
}

/** Under the lock of the placement: nobody aborts the move from here on, and nobody has before. */
async function assertStillMeant(central: pg.PoolClient, { id }: MoveRecord, { during }: Leg): Promise<void> {
  const { rows } = await central.query<{ state: string }>('select state from rowhouse.move where id = $1 for update', [
    id,
  ])
  if (rows[0]?.state !== during) throw impossible(`another process has made the move ${rows[0]?.state} meanwhile`)
}

/**
 * Lets the tenant in again where the leg began, unless the registry names the other home by now. Returns false then.
 *
 * @param meanwhile  done with the placement locked, before the tenant is let in
 */
export async function letIn(
  { connections, fenceTimeoutMs }: Pick<Cutter, 'connections' | 'fenceTimeoutMs'>,
  move: MoveRecord,
  leg: Leg,
  meanwhile: (central: pg.PoolClient) => Promise<unknown> = async () => {},
): Promise<boolean> {
  const mark = randomUUID()
  return connections.within(fenceTimeoutMs, stillAway, async () => {
    await claimFence(connections, move, leg.from, mark)
    return connections.transact(CENTRAL, async (central) => {
      const now = await lockPlacement(central, move)
      if (now.epoch !== leg.epoch) return false
      await meanwhile(central)
      await unfence(connections, move, leg.from, leg.epoch, servedAs(now), mark)
      await central.query('update rowhouse.placement set moving_since = null where tenant_id = $1', [move.tenantId])
      return true
    })
  })
}

/** Requests that meet the fence wait instead of failing, until the tenant is let in here or there. */
async function announce(connections: OperatorConnections, { tenantId }: MoveRecord): Promise<void> {
  await connections.transact(CENTRAL, (client) =>
    client.query('update rowhouse.placement set moving_since = now() where tenant_id = $1 and moving_since is null', [
      tenantId,
    ]),
  )
}
