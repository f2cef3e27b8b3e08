import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { UnavailableError } from 'rowhouse'
import type { HomeAddress, OperatorConnections } from '../registry/operator-connections.ts'
import type { TenantTable } from '../tenant-data/tenant-tables.ts'

/** A trigger needs a lock that writers of all tenants wait behind: each attempt is short. */
const LOCK_TIMEOUT_MS = 100
const ATTEMPTS = 200
const PAUSE_MS = 250

const LOCK_NOT_AVAILABLE = '55P03'

/** Name of the triggers of a move; the janitor knows by it whose they are. */
function triggerName(moveId: string, kind: (typeof KINDS)[number]): string {
  return `rowhouse_move_${moveId.replaceAll('-', '')}_${kind}`
}

const KINDS = ['insert', 'update', 'delete', 'truncate'] as const

/**
 * Captures the keys of rows the tenant changes from now on. Whatever was being written when this was called is committed
 * or rolled back when it returns. Calling it again changes nothing.
 *
 * @throws {UnavailableError} `ERR_TIMEOUT` when somebody wrote to a table for a minute without end
 */
export async function startCapture(
  connections: OperatorConnections,
  home: HomeAddress,
  tables: readonly TenantTable[],
  tenantId: string,
  moveId: string,
): Promise<void> {
  for (const table of tables) {
    await withShortLock(connections, home, table, (client) => createTriggers(client, table, tenantId, moveId))
  }
}

/** Takes the triggers away again, and the keys nobody took. */
export async function stopCapture(
  connections: OperatorConnections,
  home: HomeAddress,
  tables: readonly TenantTable[],
  moveId: string,
): Promise<void> {
  for (const table of tables) {
    if (!(await hasTrigger(connections, home, table, moveId))) continue
    await withShortLock(connections, home, table, async (client) => {
      for (const kind of KINDS) {
        await client.query(`drop trigger if exists ${triggerName(moveId, kind)} on ${nameOf(table)}`)
      }
    })
  }
  await connections.transact(home, (client) =>
    client.query('delete from rowhouse.captured_key where move_id = $1', [moveId]),
  )
}

async function createTriggers(
  client: pg.PoolClient,
  table: TenantTable,
  tenantId: string,
  moveId: string,
): Promise<void> {
  const id = escapeLiteral(tenantId)
  const args = [moveId, table.name, ...table.key].map((arg) => escapeLiteral(arg)).join(', ')
  // The condition is checked without calling the function: rows of other tenants cost a comparison.
  for (const [event, condition] of [
    ['insert', `new.tenant_id = ${id}`],
    ['update', `new.tenant_id = ${id} or old.tenant_id = ${id}`],
    ['delete', `old.tenant_id = ${id}`],
  ] as const) {
    await client.query(
      `create or replace trigger ${triggerName(moveId, event)} after ${event} on ${nameOf(table)} for each row
       when (${condition}) execute function rowhouse.capture_key(${args})`,
    )
  }
  await client.query(
    `create or replace trigger ${triggerName(moveId, 'truncate')} before truncate on ${nameOf(table)}
     for each statement execute function rowhouse.refuse_truncate()`,
  )
}

async function hasTrigger(
  connections: OperatorConnections,
  home: HomeAddress,
  table: TenantTable,
  moveId: string,
): Promise<boolean> {
  const text = `select from pg_trigger where tgrelid = to_regclass($1) and starts_with(tgname, $2)`
  const { rowCount } = await connections.use(home, (client) =>
    client.query(text, [nameOf(table), `rowhouse_move_${moveId.replaceAll('-', '')}`]),
  )
  return (rowCount ?? 0) > 0
}

async function withShortLock(
  connections: OperatorConnections,
  home: HomeAddress,
  table: TenantTable,
  work: (client: pg.PoolClient) => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await connections.transact(home, async (client) => {
        await client.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`)
        await work(client)
      })
      return
    } catch (error) {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error
      if (attempt === ATTEMPTS) {
        throw new UnavailableError(
          'ERR_TIMEOUT',
          `Cannot watch ${table.schema}.${table.name}: somebody writes to it in a transaction that does not end; end it, then continue the move`,
          { cause: error },
        )
      }
      await delay(PAUSE_MS) // bounded: ATTEMPTS
    }
  }
}

function nameOf({ schema, name }: TenantTable): string {
  return `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
}
