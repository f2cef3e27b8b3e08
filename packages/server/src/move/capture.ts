import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { UnavailableError } from 'rowhouse'
import type { DatabaseAddress, HomeAddress, OperatorConnections } from '../registry/operator-connections.ts'
import type { TenantTable } from '../tenant-data/tenant-tables.ts'

/** A trigger needs a lock that writers of all tenants wait behind: each attempt is short. */
const LOCK_TIMEOUT_MS = 100
const ATTEMPTS = 200
/** Where it does not matter when. */
const FEW_ATTEMPTS = 8
const PAUSE_MS = 250

/**
 * Autovacuum gives a table up for whoever has waited for deadlock_timeout, which is longer than an attempt: without the
 * second line it would keep every attempt out. The right to set it is asked for, not needed.
 */
const SHORT_LOCKS = `
  begin;
  select set_config('deadlock_timeout', '20ms', true) where has_parameter_privilege(current_user, 'deadlock_timeout', 'SET');
  set local role rowhouse_owner;
  set local lock_timeout = ${LOCK_TIMEOUT_MS}`

const LOCK_NOT_AVAILABLE = '55P03'

/** Name of the triggers of a move; the janitor knows by it whose they are. */
function triggerName(moveId: string, kind: (typeof KINDS)[number] | ''): string {
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
    await withShortLock(connections, home, table, ATTEMPTS, (client) => createTriggers(client, table, tenantId, moveId))
  }
}

/**
 * Stops capturing, and forgets the keys nobody took.
 *
 * A trigger is switched off first, which waits for those who write, and then dropped, which waits for everybody who has
 * looked at the table in a transaction that goes on. What cannot be dropped soon stays, switched off, until the next
 * move that passes by.
 *
 * @param patient  waits for those who write; otherwise the triggers may stay on, where nobody writes as the tenant any more
 */
export async function stopCapture(
  connections: OperatorConnections,
  home: HomeAddress,
  tables: readonly TenantTable[],
  moveId: string,
  patient: boolean,
): Promise<void> {
  for (const table of tables) {
    const names = await triggersOn(connections, home, table)
    const own = names.filter(({ name }) => name.startsWith(triggerName(moveId, '')))
    const on = own.filter(({ off }) => !off)
    if (on.length > 0) {
      const off = withShortLock(connections, home, table, patient ? ATTEMPTS : FEW_ATTEMPTS, (client) =>
        each(client, on, (name) => `alter table ${nameOf(table)} disable trigger ${name}`),
      )
      await (patient ? off : off.catch(ignoreTimeout))
    }
    const old = [...own, ...names.filter(({ off }) => off)]
    if (old.length === 0) continue
    await withShortLock(connections, home, table, FEW_ATTEMPTS, (client) =>
      each(client, old, (name) => `drop trigger if exists ${name} on ${nameOf(table)}`),
    ).catch(ignoreTimeout)
  }
  await connections.transact(home, (client) =>
    client.query('delete from rowhouse.captured_key where move_id = $1', [moveId]),
  )
}

type NamedTable = Pick<TenantTable, 'schema' | 'name'>

/**
 * Drops triggers of moves that are over, when nobody is in the way for a moment.
 *
 * @throws {UnavailableError} `ERR_TIMEOUT` when somebody uses the table in a transaction that does not end
 */
export function dropTriggers(
  connections: OperatorConnections,
  place: DatabaseAddress,
  table: NamedTable,
  names: readonly string[],
): Promise<void> {
  return withShortLock(connections, place, table, FEW_ATTEMPTS, async (client) => {
    for (const name of names) {
      await client.query(`drop trigger if exists ${escapeIdentifier(name)} on ${nameOf(table)}`)
    }
  })
}

interface FoundTrigger {
  readonly name: string
  readonly off: boolean
}

/** Triggers of moves on a table, this one's and those that were left. */
async function triggersOn(
  connections: OperatorConnections,
  home: HomeAddress,
  table: TenantTable,
): Promise<FoundTrigger[]> {
  const text = `select tgname as name, tgenabled = 'D' as off from pg_trigger
                 where tgrelid = to_regclass($1) and tgname ~ '^rowhouse_move_[0-9a-f]{32}_' and tgparentid = 0`
  return (await connections.use(home, (client) => client.query<FoundTrigger>(text, [nameOf(table)]))).rows
}

/** Tells of tables whether all triggers of a capture are there and switched on, by oid. */
export async function captureTriggers(
  client: pg.PoolClient,
  moveId: string,
  tables: readonly number[],
): Promise<ReadonlyMap<number, boolean>> {
  const { rows } = await client.query<{ oid: number; all: boolean }>(
    `select tgrelid::int as oid, count(*) = ${KINDS.length} as all from pg_trigger
      where tgrelid = any ($1::oid[]) and tgname = any ($2) and tgenabled = 'O' and tgparentid = 0 group by 1`,
    [tables, KINDS.map((kind) => triggerName(moveId, kind))],
  )
  return new Map(rows.map(({ oid, all }) => [oid, all]))
}

async function each(
  client: pg.PoolClient,
  triggers: readonly FoundTrigger[],
  toStatement: (name: string) => string,
): Promise<void> {
  for (const name of new Set(triggers.map((trigger) => trigger.name))) await client.query(toStatement(name))
}

function ignoreTimeout(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'ERR_TIMEOUT') throw error
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

async function withShortLock(
  connections: OperatorConnections,
  home: DatabaseAddress,
  table: NamedTable,
  attempts: number,
  work: (client: pg.PoolClient) => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await connections.use(home, async (client) => {
        await client.query(SHORT_LOCKS)
        await work(client)
        await client.query('commit')
      })
      return
    } catch (error) {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error
      if (attempt === attempts) {
        throw new UnavailableError(
          'ERR_TIMEOUT',
          `Cannot watch ${table.schema}.${table.name}: somebody writes to it in a transaction that does not end; end it, then continue the move`,
          { cause: error },
        )
      }
      await delay(PAUSE_MS) // bounded: attempts
    }
  }
}

function nameOf({ schema, name }: NamedTable): string {
  return `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
}
