import type pg from 'pg'
import { CENTRAL, type DatabaseAddress, type OperatorConnections } from '../registry/operator-connections.ts'
import { dropTriggers } from './capture.ts'
import { HELD_BY, inTurn } from './freeze-homes.ts'
import { backId, IS_OPEN } from './move-record.ts'

/** What keeps a move going and belongs to none that is open: it holds no rows of anybody, and is safe to remove. */
export interface LeftBehind extends DatabaseAddress {
  readonly kind: 'trigger' | 'captured-keys' | 'freeze' | 'fence' | 'mark'
  /** For people: the trigger and its table, the move, the home, the tenant. */
  readonly name: string
  readonly what: string
  /** Of the trigger; otherwise left out. */
  readonly trigger?: FoundTrigger
}

interface FoundTrigger {
  readonly schema: string
  readonly table: string
  readonly name: string
  readonly move: string
}

interface Found {
  readonly triggers: readonly FoundTrigger[]
  readonly keys: readonly { readonly move: string; readonly count: number }[]
  readonly freezes: readonly string[]
  readonly fenced: readonly string[]
}

const LOOK = `
  select coalesce((select json_agg(json_build_object('schema', n.nspname, 'table', c.relname, 'name', g.tgname, 'move', substr(g.tgname, 15, 32))
                                   order by n.nspname, c.relname, g.tgname)
                     from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
                    where g.tgname ~ '^rowhouse_move_[0-9a-f]{32}_' and g.tgparentid = 0), '[]') as triggers,
         coalesce((select json_agg(json_build_object('move', k.move, 'count', k.count) order by k.move)
                     from (select replace(move_id::text, '-', '') as move, count(*)::int from rowhouse.captured_key group by 1) k), '[]') as keys,
         coalesce((select json_agg(f.home order by f.home) from rowhouse.ddl_freeze f where f.held_by = $1), '[]') as freezes,
         coalesce((select json_agg(r.tenant_id order by r.tenant_id) from rowhouse.resident r where r.state = 'fenced'), '[]') as fenced`

/** Moves that are not over, as the names of their triggers have them, and their homes. */
interface OpenMoves {
  readonly ids: ReadonlySet<string>
  /** As `homeKey` writes them. */
  readonly homes: ReadonlySet<string>
}

/** Reads which moves are open. Everything a move makes is made after its row. */
async function readOpenMoves(connections: OperatorConnections): Promise<OpenMoves> {
  const { rows } = await connections.central.query<{ id: string; source: DatabaseAddress; target: DatabaseAddress }>(
    `select m.id, m.source, m.target from rowhouse.move m where ${IS_OPEN}`,
  )
  return {
    ids: new Set(rows.flatMap(({ id }) => [hexOf(id), hexOf(backId(id))])),
    homes: new Set(rows.flatMap(({ source, target }) => [homeKey(source), homeKey(target)])),
  }
}

/** Finds what moves left in one database. The moves are read after the look: one that began meanwhile is known. */
export async function findLeftIn(connections: OperatorConnections, place: DatabaseAddress): Promise<LeftBehind[]> {
  const { triggers, keys, freezes, fenced } = await connections.transact(place, look)
  if (triggers.length + keys.length + freezes.length + fenced.length === 0) return []
  const { ids, homes } = await readOpenMoves(connections)
  const { server, database } = place
  return [
    ...triggers
      .filter(({ move }) => !ids.has(move))
      .map((trigger) => ({
        server,
        database,
        kind: 'trigger' as const,
        name: `${trigger.name} on ${trigger.schema}.${trigger.table}`,
        what: 'belongs to no open move',
        trigger,
      })),
    ...keys
      .filter(({ move }) => !ids.has(move))
      .map(({ move, count }) => ({
        server,
        database,
        kind: 'captured-keys' as const,
        name: move,
        what: `${count} keys of a move that is not open`,
      })),
    ...freezes
      .filter((home) => !homes.has(homeKey({ server, database, schema: home === '' ? undefined : home })))
      .map((home) => ({
        server,
        database,
        kind: 'freeze' as const,
        name: home === '' ? 'shared tables' : home,
        what: 'keeps migrations out for a move, and none is open there',
      })),
    ...(await keepStranded(connections, place, fenced)).map((name) => ({
      server,
      database,
      kind: 'fence' as const,
      name,
      what: 'lives here and is shut out, though nobody moves it',
    })),
  ]
}

const PLACED_HERE = `p.server = $1 and case when p.model = 'database' then p.database_name end is not distinct from $2`

/** Tenants that live in a database and are not moved. A fence elsewhere keeps them out of a home they have left. */
async function keepStranded(
  connections: OperatorConnections,
  { server, database }: DatabaseAddress,
  fenced: readonly string[],
): Promise<string[]> {
  if (fenced.length === 0) return []
  const { rows } = await connections.central.query<{ id: string }>(
    `select p.tenant_id as id from rowhouse.placement p where ${PLACED_HERE} and p.tenant_id = any ($3) and ${NOT_MOVED} order by 1`,
    [server, database ?? null, fenced],
  )
  return rows.map(({ id }) => id)
}

/** Finds tenants whose requests are told to wait for a move that nobody makes. */
export async function findStaleMarks(connections: OperatorConnections): Promise<LeftBehind[]> {
  const { rows } = await connections.central.query<{ name: string }>(
    `select p.tenant_id as name from rowhouse.placement p where p.moving_since is not null and ${NOT_MOVED} order by 1`,
  )
  const what = 'is marked as being moved, and nobody moves it: its requests wait before they fail'
  return rows.map(({ name }) => ({ ...CENTRAL, kind: 'mark' as const, name, what }))
}

const NOT_MOVED = `not exists (select from rowhouse.move m where m.tenant_id = p.tenant_id and ${IS_OPEN})`

/**
 * Removes what a look found, after asking again: a move that is over never begins again, a home is thawed in turn with
 * the moves that freeze it, a tenant is let in with its placement locked, as a move has it that shuts it out, and a mark
 * goes only where no move is open in the same statement.
 *
 * @returns false when it belongs to an open move by now, or is gone
 * @throws {UnavailableError} `ERR_TIMEOUT` when a transaction that does not end is in the way of a trigger
 */
export async function removeLeft(connections: OperatorConnections, left: LeftBehind): Promise<boolean> {
  if (left.kind === 'mark') return removeMark(connections, left.name)
  if (left.kind === 'fence') return removeFence(connections, left)
  if (left.kind === 'freeze') return inTurn(connections, () => removeFreeze(connections, left))
  const { ids } = await readOpenMoves(connections)
  if (left.trigger !== undefined) {
    const { move, schema, table, name } = left.trigger
    if (ids.has(move)) return false
    await dropTriggers(connections, left, { schema, name: table }, [name])
    return true
  }
  if (ids.has(left.name)) return false
  const text = 'delete from rowhouse.captured_key where move_id = $1::uuid'
  return connections.transact(left, async (client) => ((await client.query(text, [left.name])).rowCount ?? 0) > 0)
}

async function removeMark(connections: OperatorConnections, tenantId: string): Promise<boolean> {
  const text = `update rowhouse.placement p set moving_since = null where p.tenant_id = $1 and p.moving_since is not null and ${NOT_MOVED}`
  return connections.transact(CENTRAL, async (client) => (await client.query(text, [tenantId])).rowCount === 1)
}

async function removeFence(connections: OperatorConnections, left: LeftBehind): Promise<boolean> {
  const text = `select p.epoch, t.state from rowhouse.placement p join rowhouse.tenant t on t.id = p.tenant_id
                 where ${PLACED_HERE} and p.tenant_id = $3 for update of p`
  const values = [left.server, left.database ?? null, left.name]
  return connections.transact(CENTRAL, async (central) => {
    const placed = (await central.query<{ epoch: number; state: string }>(text, values)).rows[0]
    // A statement of its own, so that it knows what happened while the lock was waited for.
    const again = await keepStranded(connections, left, [left.name])
    if (placed === undefined || again.length === 0) return false
    const door = `update rowhouse.resident set state = $3, fenced_by = null where tenant_id = $1 and epoch = $2 and state = 'fenced'`
    const state = placed.state === 'active' ? 'active' : 'suspended'
    const { rowCount } = await connections.transact(left, (home) => home.query(door, [left.name, placed.epoch, state]))
    return rowCount === 1
  })
}

/** With the lock of freezes held: whoever freezes this home next has entered its move, or does so later. */
async function removeFreeze(connections: OperatorConnections, left: LeftBehind): Promise<boolean> {
  const again = (await findLeftIn(connections, left)).find(({ kind, name }) => kind === 'freeze' && name === left.name)
  if (again === undefined) return false
  const home = left.name === 'shared tables' ? '' : left.name
  const text = 'delete from rowhouse.ddl_freeze where home = $1 and held_by = $2'
  await connections.transact(left, (client) => client.query(text, [home, HELD_BY]))
  await connections.transact(CENTRAL, (client) =>
    client.query(
      `update rowhouse.fleet_home set frozen_until = null, frozen_for = null where (server, database_name, schema_name) = ($1, $2, $3)`,
      [left.server, left.database ?? '', home],
    ),
  )
  return true
}

/** Databases of an older version of Rowhouse, and those that are not equipped for moves, have nothing of them. */
async function look(client: pg.PoolClient): Promise<Found> {
  const { rowCount } = await client.query(
    `select where to_regclass('rowhouse.captured_key') is not null and to_regclass('rowhouse.ddl_freeze') is not null`,
  )
  if (rowCount === 0) return { triggers: [], keys: [], freezes: [], fenced: [] }
  return (await client.query<Found>(LOOK, [HELD_BY])).rows[0] as Found
}

function homeKey({ server, database, schema }: DatabaseAddress & { schema?: string | undefined }): string {
  return JSON.stringify([server, database ?? null, schema ?? null])
}

function hexOf(id: string): string {
  return id.replaceAll('-', '')
}
