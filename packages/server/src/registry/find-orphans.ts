import { findLeftIn, findStaleMarks, type LeftBehind, removeLeft } from '../move/left-behind.ts'
import { IS_OPEN } from '../move/move-record.ts'
import type { OperatorConnections } from './operator-connections.ts'
import { listServers } from './servers.ts'

/** Something that belongs to no row of the registry, or a row whose thing is gone. */
export interface Orphan {
  readonly server: string
  /** A tenant's own; left out for the server's shared one. */
  readonly database?: string | undefined
  readonly kind: 'schema' | 'database' | 'role' | 'resident' | 'placement' | LeftBehind['kind']
  readonly name: string
  readonly what: string
  /** What to do about it, for people: a command, or SQL. */
  readonly mend: string
}

interface PlacedRow {
  readonly tenant_id: string
  readonly slug: string
  readonly state: string
  readonly model: string
  readonly database_name: string | null
  readonly schema_name: string | null
}

/** Databases of tenants that are visited at once: each visit opens a connection. */
const VISITS = 4

/** What can be removed without a look: it holds no rows of anybody. */
const REMOVE = 'rowhouse orphans --remove'

/**
 * Compares the registry with what is on the servers: every schema and database of a tenant, every key, and what keeps a
 * move going belongs to a placement or to an open move, and every placement of a tenant that is served has its things.
 * Servers that are down are not visited. What is found is looked at a second time: work that went on meanwhile is not
 * reported.
 */
export async function findOrphans(connections: OperatorConnections): Promise<Orphan[]> {
  const found = await look(connections)
  if (found.length === 0) return []
  const still = new Set((await look(connections)).map(keyOf))
  return found.filter((orphan) => still.has(keyOf(orphan))).map(({ left: _, ...orphan }) => orphan)
}

/**
 * Removes what moves left behind and nobody needs: triggers, captured keys, freezes, fences, marks. Each is asked for again right
 * before. Schemas, databases, keys and placements hold or stand for rows of tenants: those stay, for people to look at.
 *
 * @returns what was removed
 * @throws {UnavailableError} `ERR_TIMEOUT` when a transaction that does not end is in the way of a trigger;
 *   `ERR_DATABASE_UNAVAILABLE`. What was removed before stays removed
 */
export async function removeOrphans(connections: OperatorConnections): Promise<Orphan[]> {
  const known = new Set((await findOrphans(connections)).map(keyOf))
  const removed: Orphan[] = []
  for (const { left, ...orphan } of await look(connections)) {
    if (left === undefined || !known.has(keyOf(orphan))) continue
    if (await removeLeft(connections, left)) removed.push(orphan)
  }
  return removed
}

/** An orphan, and how it is removed where that is safe. */
interface Suspect extends Orphan {
  readonly left?: LeftBehind
}

function keyOf({ server, database, kind, name }: Orphan): string {
  return JSON.stringify([server, database ?? null, kind, name])
}

async function look(connections: OperatorConnections): Promise<Suspect[]> {
  const servers = await listServers(connections.central)
  const found = await Promise.all(
    servers.filter(({ state }) => state !== 'down').map(({ name }) => findOnServer(connections, name)),
  )
  return [...found.flat(), ...(await findStaleMarks(connections)).map(toSuspect)]
}

function toSuspect(left: LeftBehind): Suspect {
  const { server, database, kind, name, what } = left
  return { server, ...(database !== undefined && { database }), kind, name, what, mend: REMOVE, left }
}

/** Where tenants live, and the other home of those that are being moved: one that is being made, or is kept. */
const PLACED = `
  select p.tenant_id, t.slug, t.state, p.model, p.database_name, p.schema_name
    from rowhouse.placement p join rowhouse.tenant t on t.id = p.tenant_id where p.server = $1 and t.state <> 'erased'
  union all
  select m.tenant_id, t.slug, 'provisioning', e.home ->> 'model', e.home ->> 'database', e.home ->> 'schema'
    from rowhouse.move m join rowhouse.tenant t on t.id = m.tenant_id, lateral (values (m.source), (m.target)) e (home)
   where ${IS_OPEN} and e.home ->> 'server' = $1`

const IS_HOME = `'^t_[a-z0-9_]{2,40}_[0-9a-f]{12}$'`

async function findOnServer(connections: OperatorConnections, server: string): Promise<Suspect[]> {
  const before = await readPlaced(connections, server)
  const shared = { server, database: undefined }
  const platform = await connections.platformId()
  const here = await connections.transact(shared, async (client) => ({
    schemas: await names(client, 'select nspname as name from pg_namespace where rowhouse.is_home(nspname)'),
    databases: await names(
      client,
      `select datname as name from pg_database where datname ~ ${IS_HOME} and datconnlimit <> -2`,
    ),
    // Databases belong to the whole server, where another platform may have its own: the comment says whose one is.
    // Also those whose removal was cut short, which take up space.
    ours: await names(
      client,
      `select datname as name from pg_database where shobj_description(oid, 'pg_database') = 'rowhouse ${platform}'`,
    ),
    roles: await names(client, `select rolname as name from pg_roles where rolname ~ ${IS_HOME}`),
    residents: await names(
      client,
      `select tenant_id as name from rowhouse.resident where tenant_id <> '00000000-0000-0000-0000-000000000000'`,
    ),
  }))
  // A thing is made after its row: whatever is there is known now, or was when the look began.
  const after = await readPlaced(connections, server)
  const placed = [...before, ...after]
  const settled = before.filter(({ state }) => state !== 'provisioning' && state !== 'failed')
  const shareTables = placed.filter(({ model }) => model !== 'database')
  const schemas = placed.map((row) => row.schema_name)
  const databases = placed.map((row) => row.database_name)
  const report = (kind: Orphan['kind'], what: string, mend: (name: string) => string) => (name: string) => ({
    server,
    kind,
    name,
    what,
    mend: mend(name),
  })
  const own = new Set(here.databases)
  const visits = [undefined, ...new Set(databases.filter((name) => name !== null && own.has(name)))] as string[]
  return [
    ...missing(here.schemas, schemas).map(
      report(
        'schema',
        'belongs to no tenant of the registry',
        (name) => `look whose rows it holds, then: drop schema ${name} cascade`,
      ),
    ),
    ...missing(here.ours, databases).map(
      report(
        'database',
        'belongs to no tenant of the registry',
        (name) => `look whose rows it holds, then: drop database ${name} with (force)`,
      ),
    ),
    ...missing(here.roles, [...schemas, ...databases]).map(
      report(
        'role',
        'is named as the home of a tenant, and of none of the registry',
        (name) => `look what it may and owns, then: drop role ${name}`,
      ),
    ),
    ...missing(
      here.residents,
      shareTables.map((row) => row.tenant_id),
    ).map(
      report(
        'resident',
        'has a key here and no placement',
        (name) => `look for its rows, then: delete from rowhouse.resident where tenant_id = '${name}'`,
      ),
    ),
    ...missing(
      settled.map((row) => row.schema_name),
      here.schemas,
    ).map(report('placement', 'its schema is not there', RESTORE_HOME)),
    ...missing(
      settled.map((row) => row.database_name),
      here.databases,
    ).map(report('placement', 'its database is not there', RESTORE_HOME)),
    ...missing(
      settled.filter(({ model }) => model !== 'database').map((row) => row.tenant_id),
      here.residents,
    ).map(report('placement', 'has no key where it is placed', RESTORE_HOME)),
    ...(await visit(connections, server, visits)),
  ]
}

const RESTORE_HOME = () =>
  `restore its home from a backup of the server, or its rows as a new tenant: rowhouse backup restore`

/** Looks for what moves left in the shared database and in those of tenants, a few at once. */
async function visit(
  connections: OperatorConnections,
  server: string,
  databases: readonly (string | undefined)[],
): Promise<Suspect[]> {
  const found: Suspect[] = []
  const waiting = [...databases]
  const visitor = async () => {
    while (waiting.length > 0) {
      const place = { server, database: waiting.shift() }
      found.push(...(await findLeftIn(connections, place)).map(toSuspect))
    }
  }
  await Promise.all(Array.from({ length: VISITS }, visitor))
  return found
}

async function readPlaced(connections: OperatorConnections, server: string): Promise<PlacedRow[]> {
  return (await connections.central.query<PlacedRow>(PLACED, [server])).rows
}

async function names(
  client: { query(text: string): Promise<{ rows: { name: string }[] }> },
  text: string,
): Promise<string[]> {
  return (await client.query(text)).rows.map(({ name }) => name)
}

/** Returns what is in `wanted` and not in `present`. */
function missing(wanted: readonly (string | null)[], present: readonly (string | null)[]): string[] {
  const known = new Set(present)
  return wanted.filter((name): name is string => name !== null && !known.has(name))
}
