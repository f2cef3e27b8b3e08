import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { TenantError, UnavailableError } from 'rowhouse'
import type { RootKey } from 'rowhouse/install'
import type { OperatorConnections } from '../registry/operator-connections.ts'
import { endTenantSessions, findTenantSessions } from '../registry/tenant-sessions.ts'
import { type MoveHome, type MoveRecord, sameDatabase } from './move-record.ts'

/** How long one attempt waits for transactions of the tenant that still run; new ones wait behind it that long. */
const LOCK_TIMEOUT_MS = 250
const PAUSE_MS = 100

const LOCK_NOT_AVAILABLE = '55P03'

export interface FenceOptions {
  /** After this long, transactions of the tenant that still run are ended, in milliseconds. */
  readonly cancelAfterMs: number
  /** Stands for this attempt. */
  readonly mark: string
}

/**
 * Shuts the tenant out of its home: nothing of it runs there when this returns, and no seal is accepted any more.
 *
 * The exclusive lock waits for those who write (each holds it shared, taken with its context), and the residents' row
 * is what later ones are refused by. The lock alone would let in who comes after; the row alone loses what is being
 * committed, with checksums that match.
 *
 * @throws {UnavailableError} `ERR_TIMEOUT` when a transaction of the tenant does not end
 */
export async function fence(
  connections: OperatorConnections,
  rootKey: RootKey,
  { tenantId }: MoveRecord,
  home: MoveHome,
  epoch: number,
  { cancelAfterMs, mark }: FenceOptions,
): Promise<void> {
  const key = rootKey.deriveLockKey(tenantId)
  const began = performance.now()
  for (;;) {
    try {
      await connections.transact(home, async (client) => {
        await client.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`)
        await client.query('select pg_advisory_xact_lock($1::bigint)', [key])
        const { rowCount } = await client.query(
          // The next epoch: a process died between admitting and switching, so nobody ever had a seal of it.
          `update rowhouse.resident set state = 'fenced', epoch = $2, home = $3, fenced_by = $4 where tenant_id = $1 and epoch in ($2, $2 + 1)`,
          [tenantId, epoch, home.schema ?? null, mark],
        )
        if (rowCount !== 1) throw notAtHome(home)
      })
      return
    } catch (error) {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error
      const waitedMs = performance.now() - began
      if (waitedMs > cancelAfterMs) {
        if (waitedMs > 2 * cancelAfterMs + 1_000) throw heldOpen(home, error)
        await connections.use(home, async (client) => endTenantSessions(client, await findTenantSessions(client, key)))
      }
      await delay(PAUSE_MS) // bounded: twice cancelAfterMs
    }
  }
}

/**
 * Says that this attempt is the one to let the tenant in again. Before the placement is locked: an attempt that loses the
 * lock unnoticed has been overwritten by whoever took it.
 */
export async function claimFence(
  connections: OperatorConnections,
  { tenantId }: MoveRecord,
  home: MoveHome,
  mark: string,
): Promise<void> {
  await connections.transact(home, (client) =>
    client.query(`update rowhouse.resident set fenced_by = $2 where tenant_id = $1`, [tenantId, mark]),
  )
}

/**
 * Lets the tenant in again where it was fenced, as it was before. Only with the placement locked and naming this home:
 * where it names the next one, two homes would serve the tenant.
 */
export async function unfence(
  connections: OperatorConnections,
  { tenantId }: MoveRecord,
  home: MoveHome,
  epoch: number,
  state: Served,
  mark: string,
): Promise<void> {
  await connections.transact(home, (client) =>
    client.query(
      `update rowhouse.resident set state = $3, epoch = $2, home = $4, fenced_by = null
        where tenant_id = $1 and epoch in ($2, $2 + 1) and fenced_by = $5`,
      [tenantId, epoch, state, home.schema ?? null, mark],
    ),
  )
}

/** What a home makes of its tenant. */
export type Served = 'active' | 'suspended'

/**
 * Admits the tenant in its new home with a new epoch and the keys it has. Nobody has a seal of this epoch before the
 * registry names it.
 */
export async function admit(
  connections: OperatorConnections,
  { tenantId }: MoveRecord,
  from: MoveHome,
  to: MoveHome,
  epoch: number,
  state: Served,
): Promise<void> {
  if (sameDatabase(from, to)) {
    const { rowCount } = await connections.transact(to, (client) =>
      client.query(
        `update rowhouse.resident set state = $2, epoch = $3, home = $4, fenced_by = null
          where tenant_id = $1 and state = 'fenced' and epoch = $3 - 1`,
        [tenantId, state, epoch, to.schema ?? null],
      ),
    )
    if (rowCount !== 1) throw notAtHome(from)
    return
  }
  await connections.transact(from, async (source) => {
    // Held until the other side has committed: nobody lets the tenant in here meanwhile.
    const keys = await readKeys(source, tenantId, epoch - 1)
    if (keys === undefined) throw notAtHome(from)
    const { rowCount } = await connections.transact(to, (client) =>
      client.query(ADMIT, [tenantId, epoch, state, to.schema ?? null, ...keys]),
    )
    if (rowCount !== 1) throw notAtHome(to)
  })
}

/** A home that was fenced at this epoch or a later one belongs to a move that is further on. */
const ADMIT = `
  insert into rowhouse.resident as r (tenant_id, epoch, state, home, key_version, ipad, opad, old_key_version, old_ipad, old_opad)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
  on conflict (tenant_id) do update
    set (epoch, state, home, key_version, ipad, opad, old_key_version, old_ipad, old_opad, fenced_by)
      = (excluded.epoch, excluded.state, excluded.home, excluded.key_version, excluded.ipad, excluded.opad,
         excluded.old_key_version, excluded.old_ipad, excluded.old_opad, null)
    where r.epoch < excluded.epoch or (r.epoch = excluded.epoch and r.state <> 'fenced')`

async function readKeys(client: pg.PoolClient, tenantId: string, epoch: number): Promise<unknown[] | undefined> {
  const { rows } = await client.query({
    text: `select key_version, ipad, opad, old_key_version, old_ipad, old_opad from rowhouse.resident
            where tenant_id = $1 and state = 'fenced' and epoch = $2 for share`,
    values: [tenantId, epoch],
    rowMode: 'array',
  })
  return rows[0]
}

function notAtHome({ server }: MoveHome): TenantError {
  return new TenantError(
    'ERR_MOVE_IMPOSSIBLE',
    `Cannot move the tenant: it is not resident on server "${server}" with the epoch the registry has; run "rowhouse orphans"`,
  )
}

function heldOpen({ server }: MoveHome, cause: unknown): UnavailableError {
  return new UnavailableError(
    'ERR_TIMEOUT',
    `Cannot fence the tenant on server "${server}": a transaction of it does not end, and could not be ended; try again`,
    { cause },
  )
}
