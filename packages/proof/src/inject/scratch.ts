import { createHash, randomBytes } from 'node:crypto'
import pg from 'pg'
import { createTenantAdmin, install, protect } from 'rowhouse/install'
import { openScratchServer } from '../clone/scratch-database.ts'
import type { SettingForm, Target } from './payload.ts'

/** The places the proof makes for itself: nothing else on the server is read or changed. */
export interface Scratch {
  /** Superuser on the database where Rowhouse is installed. */
  readonly admin: pg.Client
  /** The application's login there. */
  readonly appUrl: string
  /** A login of its own that is a member of `rowhouse_app`: what changes a role's own defaults runs as this one. */
  readonly memberUrl: string
  readonly member: string
  readonly rootKey: string
  readonly a: string
  readonly b: string
  /** In every value of tenant B, in nothing of tenant A. */
  readonly canary: string
  /** Superuser on the database with the textbook's policies, and a login there that may do more than it should. */
  readonly controlAdmin: pg.Client
  readonly controlUrl: string
  readonly controlLogin: string
  drop(): Promise<void>
}

export interface ScratchOptions {
  readonly adminUrl: string
  readonly appUrl: string
}

export const SLUG_A = 'acme'
export const SLUG_B = 'globex'

const TABLES = `
  create table item (tenant_id uuid not null, id bigint not null, label text not null, data jsonb, primary key (tenant_id, id));
  create table note (tenant_id uuid not null, id uuid not null default gen_random_uuid(), label text not null, primary key (tenant_id, id));
  create sequence ticket;
  -- What the probe asks; the application itself may not read pg_locks.
  create function public.own_locks() returns bigint language sql security definer set search_path = pg_catalog, pg_temp
    as $$ select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() $$;
  grant execute on function public.own_locks() to public;`

/** Makes both databases. What was made before a failure is dropped again. */
export async function createScratch(options: ScratchOptions): Promise<Scratch> {
  const stem = `rowhouse_inject_${randomBytes(6).toString('hex')}`
  const [member, controlLogin] = [`${stem}_member`, `${stem}_login`]
  const password = randomBytes(18).toString('base64url')
  const databases = await openScratchServer(options.adminUrl)
  const open: pg.Client[] = []
  const connect = async (url: string) => {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    return client
  }
  const openAdmin = async (database: string) => {
    const client = await connect(urlTo(options.adminUrl, database))
    open.push(client)
    return client
  }
  // Roles go last: what they were granted goes with the databases.
  const drop = async () => {
    await Promise.all(open.map((client) => client.end().catch(() => {})))
    await databases.close()
    const server = await connect(options.adminUrl)
    for (const role of [member, controlLogin]) await dropRole(server, role)
    await server.end()
  }
  try {
    const [name, control] = [await databases.create(), await databases.create()]
    const admin = await openAdmin(name)
    for (const role of [member, controlLogin]) await admin.query(`create role ${role} login password '${password}'`)
    const rootKey = randomBytes(32).toString('base64')
    const canary = `canary${randomBytes(6).toString('hex')}`
    const tenants = await fillLibrary(admin, urlTo(options.adminUrl, name), rootKey, canary)
    await admin.query(`grant rowhouse_app to ${member}`)
    const controlAdmin = await openAdmin(control)
    await install({ url: urlTo(options.adminUrl, control), rootKey })
    await fillControl(controlAdmin, controlLogin, tenants, canary)
    return {
      admin,
      appUrl: urlTo(options.appUrl, name),
      memberUrl: urlTo(options.adminUrl, name, member, password),
      member,
      rootKey,
      ...tenants,
      canary,
      controlAdmin,
      controlUrl: urlTo(options.adminUrl, control, controlLogin, password),
      controlLogin,
      drop,
    }
  } catch (error) {
    await drop()
    throw error
  }
}

async function dropRole(server: pg.Client, role: string): Promise<void> {
  const { rowCount } = await server.query('select from pg_roles where rolname = $1', [role])
  // DROP OWNED also takes back what was granted on things of the whole server, such as parameters.
  if (rowCount === 1) await server.query(`drop owned by ${role}; drop role ${role}`)
}

function urlTo(from: string, database: string, user?: string, password?: string): string {
  const url = new URL(from)
  url.pathname = `/${database}`
  if (user !== undefined) url.username = user
  if (password !== undefined) url.password = password
  return url.href
}

interface Pair {
  readonly a: string
  readonly b: string
}

async function fillLibrary(admin: pg.Client, url: string, rootKey: string, canary: string): Promise<Pair> {
  await install({ url, rootKey })
  await admin.query(TABLES)
  await admin.query('alter table item owner to rowhouse_owner; alter table note owner to rowhouse_owner')
  await protect({ url, tables: [{ name: 'item' }, { name: 'note' }] })
  await admin.query('grant usage on sequence ticket to rowhouse_app')
  const registry = createTenantAdmin({ url, rootKey })
  try {
    const a = (await registry.create({ slug: SLUG_A, name: 'Acme' })).id
    const b = (await registry.create({ slug: SLUG_B, name: `Globex ${canary}` })).id
    await fillRows(admin, { a, b }, canary)
    return { a, b }
  } finally {
    await registry.close()
  }
}

/** The usual way: a plain setting, compared in the policy, and a login with rights that were handed out in a hurry. */
async function fillControl(admin: pg.Client, login: string, pair: Pair, canary: string): Promise<void> {
  await admin.query(TABLES)
  for (const table of ['item', 'note']) {
    await admin.query(`
      alter table ${table} alter tenant_id set default nullif(current_setting('app.tenant_id', true), '')::uuid;
      alter table ${table} enable row level security;
      alter table ${table} force row level security;
      create policy tenant on ${table} using (tenant_id = current_setting('app.tenant_id')::uuid)
        with check (tenant_id = current_setting('app.tenant_id')::uuid)`)
  }
  await admin.query(`
    insert into rowhouse.tenant (id, slug, name) values ('${pair.b}', 'globex', 'Globex ${canary}');
    grant all on all tables in schema public, rowhouse to ${login};
    grant all on all sequences in schema public to ${login};
    grant create on schema public to ${login};
    grant usage on schema rowhouse to ${login};
    grant execute on all functions in schema rowhouse to ${login};
    grant temporary, create on database ${admin.database} to ${login};
    grant execute on function lo_creat(integer), lo_get(oid), lo_from_bytea(oid, bytea), pg_cancel_backend(integer),
      pg_terminate_backend(integer, bigint) to ${login};
    grant set on parameter session_replication_role to ${login};
    grant pg_read_all_data, pg_read_server_files, pg_execute_server_program, rowhouse_app to ${login}`)
  await fillRows(admin, pair, canary)
}

async function fillRows(admin: pg.Client, { a, b }: Pair, canary: string): Promise<void> {
  for (const [id, label] of [
    [a, 'own'],
    [b, canary],
  ]) {
    await admin.query(
      `insert into item select $1, n, $2::text || n, jsonb_build_object('x', $2::text) from generate_series(1, 3) n`,
      [id, label],
    )
    await admin.query(`insert into note (tenant_id, label) values ($1, 'kept'), ($1, $2::text)`, [id, label])
  }
}

/** Statements that write to tenant A's rows, which they also expect to find. */
export const WRITES_OWN_ROWS = /\bnote\b/i

/** Gives tenant A the rows back that payloads are placed into. */
export async function restoreOwnRows(admin: pg.Client, a: string): Promise<void> {
  await admin.query(
    `with gone as (delete from note where tenant_id = '${a}') insert into note (tenant_id, label) values ('${a}', 'kept')`,
  )
}

interface StampRow {
  readonly stamp: string
  readonly key_version: number
  readonly ipad: Buffer
  readonly opad: Buffer
}

/** What only the holder of tenant B's key can do; read as superuser, to make seals that are right but for one thing. */
async function victimsKey(
  scratch: Scratch,
): Promise<{ stamp: string; keyVersion: string; sign(body: string): string }> {
  const { rows } = await scratch.admin.query<StampRow>(
    'select s.stamp, r.key_version, r.ipad, r.opad from rowhouse.accepted_stamp s join rowhouse.resident r using (tenant_id) where s.tenant_id = $1',
    [scratch.b],
  )
  const { stamp, key_version, ipad, opad } = rows[0] as StampRow
  const sign = (body: string) => {
    const inner = createHash('sha256').update(ipad).update(body).digest()
    return createHash('sha256').update(opad).update(inner).digest('hex') + body
  }
  return { stamp, keyVersion: String(key_version).padStart(6, '0'), sign }
}

const inAnHour = () => String(Math.floor(Date.now() / 1000) + 3600)

/** The library's target: seals as an attacker can make them, and two that only a broken check of age would accept. */
export async function libraryTarget(scratch: Scratch, ownSeal: string): Promise<Target> {
  const { stamp, keyVersion, sign } = await victimsKey(scratch)
  const body = `${stamp}${inAnHour()}*|`
  const values: Record<SettingForm, string> = {
    forged: '0'.repeat(64) + body,
    'own-mac': ownSeal.slice(0, 64) + scratch.b + ownSeal.slice(100),
    own: ownSeal,
    empty: '',
    truncated: ('0'.repeat(64) + body).slice(0, 100),
    'bare-id': scratch.b,
    expired: sign(`${stamp}0000000001*|`),
    'other-epoch': sign(`${scratch.b}000000777${keyVersion}${inAnHour()}*|`),
    padded: `${ownSeal}${'0'.repeat(64)}${body}`,
  }
  return { setting: 'rowhouse.seal', values, victim: scratch.b }
}

/** Makes the one seal that opens tenant B: with it the payloads must leak, or the proof could not see a leak. */
export async function stolenSeal(scratch: Scratch): Promise<string> {
  const { stamp, sign } = await victimsKey(scratch)
  return sign(`${stamp}${inAnHour()}*|`)
}

/** The textbook's target: there is nothing to forge, the id is enough. */
export function controlTarget(scratch: Scratch): Target {
  const values: Record<SettingForm, string> = {
    forged: scratch.b,
    'own-mac': scratch.b,
    own: scratch.a,
    empty: '',
    truncated: scratch.b.slice(0, 20),
    'bare-id': scratch.b,
    expired: scratch.b,
    'other-epoch': scratch.b,
    padded: `{${scratch.b}}`,
  }
  return { setting: 'app.tenant_id', values, victim: scratch.b }
}
