import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { MigrationError } from 'rowhouse'
import { type Purpose, requireOperatorUrl, SCRATCH, toConnectError } from '../operator/operator-error.ts'

/** Everything these tools make on a server carries this prefix, so that what an unplugged machine left is found again. */
const PREFIX = 'rowhouse_scratch_'

/** First half of the advisory lock each run holds while it lives; the second half is the run's number. */
const RUN_LOCKS = 726_012_601

/** Databases that exist while a proof runs, and no longer. */
export interface ScratchServer {
  /** Makes a database, empty or as a copy; nobody may be connected to the one that is copied. Returns its name. */
  create(template?: string): Promise<string>
  drop(name: string): Promise<void>
  /** Removes all that was made and disconnects, also where the connection was cut. Safe to call twice. */
  close(): Promise<void>
}

/**
 * Opens a server for one run, and removes what runs that were killed have left on it.
 *
 * The run's number is in the name of each of its databases, and its connection holds an advisory lock of that number:
 * PostgreSQL frees it the moment the process is gone, so a database whose lock is free belongs to nobody any more.
 *
 * @param adminUrl of a superuser, on any database of the server
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING` for a login that is no superuser
 */
export async function openScratchServer(adminUrl: string): Promise<ScratchServer> {
  const admin = await connect(adminUrl)
  const run = randomBytes(4).toString('hex')
  try {
    await requireSuperuser(admin)
    await admin.query('select pg_advisory_lock($1, $2)', [RUN_LOCKS, Number.parseInt(run, 16) | 0])
    await removeStale(admin)
  } catch (error) {
    await admin.end()
    throw error
  }
  const made = new Set<string>()
  const drop = async (name: string) => {
    await admin.query(`drop database if exists ${name} with (force)`)
    made.delete(name)
  }
  let count = 0
  let closing: Promise<void> | undefined
  return {
    async create(template = 'template0') {
      count += 1
      const name = `${PREFIX}${run}_${count}`
      made.add(name)
      await admin.query(`create database ${name} template "${template.replaceAll('"', '""')}"`)
      if (template !== 'template0') await copyRights(admin, template, name)
      return name
    },
    drop,
    close: () => (closing ??= closeAll(adminUrl, admin, made)),
  }
}

/** Copies belong to the roles of the original, and controls switch off what only a superuser may. */
export async function requireSuperuser(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ login: string; super: boolean; createdb: boolean }>(
    'select rolname as login, rolsuper as super, rolcreatedb as createdb from pg_roles where rolname = current_user',
  )
  const [role] = rows
  if (role === undefined || role.super) return
  throw new MigrationError(
    'ERR_PRIVILEGE_MISSING',
    `Cannot make scratch databases as "${role.login}": it is no superuser${role.createdb ? '' : ' and has no CREATEDB'}; wanted a superuser, because a copy belongs to the roles of the original. Run it on a server for tests`,
  )
}

/** The connection may be the very thing that broke: then another one cleans up. */
async function closeAll(adminUrl: string, admin: pg.Client, made: ReadonlySet<string>): Promise<void> {
  try {
    await dropAll(admin, made)
  } catch {
    const second = await connect(adminUrl)
    try {
      await dropAll(second, made)
    } finally {
      await second.end()
    }
  } finally {
    await admin.end().catch(() => {})
  }
}

async function dropAll(admin: pg.Client, names: ReadonlySet<string>): Promise<void> {
  for (const name of names) await admin.query(`drop database if exists ${name} with (force)`)
}

/** Two sweepers may meet at the same database: whoever comes second finds it gone, or going. */
async function removeStale(admin: pg.Client): Promise<void> {
  const { rows } = await admin.query<{ name: string }>(STALE_SQL, [PREFIX, RUN_LOCKS])
  for (const { name } of rows) await admin.query(`drop database if exists ${name} with (force)`).catch(() => {})
}

// A lock is taken before its first database is made, so a name in this list has lost its owner. Locks are read after the
// names, and across all databases: each run connects to the one it judges.
const STALE_SQL = `
  with named as materialized (
    select datname, ('x' || (regexp_match(datname, '^' || $1 || '([0-9a-f]{8})_[0-9]+$'))[1])::bit(32)::int as run from pg_database
     where datname ~ ('^' || $1 || '[0-9a-f]{8}_[0-9]+$'))
  select n.datname as name from named n
   where not exists (
     select from pg_locks l
      where l.locktype = 'advisory' and l.granted and l.classid::bigint = $2 and l.objsubid = 2
        and l.objid::bigint = n.run::bigint & 4294967295)`

/** CREATE DATABASE copies neither rights nor settings: without this PUBLIC could make temporary tables in the copy. */
async function copyRights(admin: pg.Client, from: string, to: string): Promise<void> {
  const { rows } = await admin.query<{ sql: string }>(COPY_RIGHTS, [from, to])
  for (const { sql } of rows) await admin.query(sql)
}

const COPY_RIGHTS = `
  with source as (select oid, datdba, datacl from pg_database where datname = $1)
  select format('revoke all on database %I from public', $2::text) as sql from source where datacl is not null
  union all
  select format('grant %s on database %I to %s', x.privilege_type, $2::text, case x.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end)
    from source, aclexplode(datacl) x where x.grantee <> datdba
  union all
  select format('alter %s set %I to %s',
           case s.setrole when 0 then format('database %I', $2::text) else format('role %I in database %I', pg_get_userbyid(s.setrole), $2::text) end,
           split_part(c, '=', 1), case split_part(c, '=', 1) when 'search_path' then substr(c, strpos(c, '=') + 1) else quote_literal(substr(c, strpos(c, '=') + 1)) end)
    from source join pg_db_role_setting s on s.setdatabase = source.oid, unnest(s.setconfig) c`

const CONNECT_TIMEOUT_MS = 10_000

/**
 * Opens a connection whose catalog answers name every object with its schema.
 *
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED` without a URL, `ERR_CONFIG_INVALID` when it is none or the login is refused
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE` when the server is not reached; safe to retry
 */
export async function connect(url: string, purpose: Purpose = SCRATCH): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: requireOperatorUrl(url, purpose),
    application_name: 'rowhouse-proof',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    options: '-c search_path=pg_catalog',
  })
  client.on('error', () => {})
  await client.connect().catch((error: Error) => {
    throw toConnectError(error, purpose)
  })
  return client
}

/** Returns the URL of another database of the same server. */
export function onDatabase(url: string, database: string): string {
  const other = new URL(url)
  other.pathname = `/${database}`
  return other.href
}
