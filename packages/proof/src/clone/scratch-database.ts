import { randomBytes } from 'node:crypto'
import pg from 'pg'

/** Everything these tools make on a server carries this prefix, so that what an unplugged machine left is found again. */
const PREFIX = 'rowhouse_scratch_'

/** Databases that exist while a proof runs, and no longer. */
export interface ScratchServer {
  /** Makes a database, empty or as a copy; nobody may be connected to the one that is copied. Returns its name. */
  create(template?: string): Promise<string>
  drop(name: string): Promise<void>
  /** Removes all that was made and disconnects. Safe to call twice. */
  close(): Promise<void>
}

/** @param adminUrl of a login that may create databases, on any database of the server */
export async function openScratchServer(adminUrl: string): Promise<ScratchServer> {
  const admin = await connect(adminUrl)
  const made = new Set<string>()
  const drop = async (name: string) => {
    await admin.query(`drop database if exists ${name} with (force)`)
    made.delete(name)
  }
  let closing: Promise<void> | undefined
  const close = async () => {
    for (const name of made) await drop(name)
    await admin.end()
  }
  return {
    async create(template = 'template0') {
      const name = PREFIX + randomBytes(6).toString('hex')
      made.add(name)
      await admin.query(`create database ${name} template "${template.replaceAll('"', '""')}"`)
      if (template !== 'template0') await copyRights(admin, template, name)
      return name
    },
    drop,
    close: () => (closing ??= close()),
  }
}

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

/** Opens a connection whose catalog answers name every object with its schema. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'rowhouse-proof',
    options: '-c search_path=pg_catalog',
  })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Returns the URL of another database of the same server. */
export function onDatabase(url: string, database: string): string {
  const other = new URL(url)
  other.pathname = `/${database}`
  return other.href
}
