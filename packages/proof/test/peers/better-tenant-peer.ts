import { betterTenant } from '@usebetterdev/tenant'
import { drizzleDatabase } from '@usebetterdev/tenant/drizzle'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import pg, { type QueryResult } from 'pg'
import type { RequestFacts } from 'rowhouse'
import type { Library, TenantDb, TenantRef } from '../../src/verify/arena.ts'
import { ATTACKER, VICTIM } from '../../src/verify/stage-tenants.ts'
import { generateMigration } from './better-tenant-cli.ts'
import { packageVersion } from './package-version.ts'
import { type Peer, rowRights } from './peer.ts'

const SETTING = 'app.current_tenant'
/** The table its schema helper describes; the migration leaves making it to the ORM. */
const TENANTS_SQL = `create table if not exists tenants (
  id uuid primary key default gen_random_uuid(), name text not null, slug text not null unique, created_at timestamptz not null default now());`

/** The two tables its README names, with the columns its schema helper gives a table. */
const OWN_SQL = `
create table projects (
  id serial primary key, name text not null,
  tenant_id uuid not null references tenants (id) default (current_setting('app.current_tenant', true))::uuid);
create table tasks (
  id serial primary key, title text not null, project_id integer not null references projects (id),
  tenant_id uuid not null references tenants (id) default (current_setting('app.current_tenant', true))::uuid);`

const VERSION = packageVersion('@usebetterdev/tenant')

/** Its quick start: Drizzle on a pg pool, the header resolver, and the migration its own generator writes. */
export const betterTenantPeer: Peer = {
  name: '@usebetterdev/tenant',
  version: VERSION,
  purpose:
    'A library for request-scoped tenants with row-level security: resolvers, adapters for web frameworks, Drizzle and Prisma, a generator of migrations',
  setup:
    "the README's quick start: Drizzle on a pg pool, `tenantResolver: { header: 'x-tenant-id' }`, work inside `handleRequest`, statements on `getDatabase()`; the migration is what `tenant-cli migrate` of the same version prints, run as it is; a login that owns no table",
  setting: SETTING,
  surfaces: {
    rows: 'offered',
    context: 'offered',
    keys: 'offered',
    signature: 'absent',
    session: 'outside',
    login: 'outside',
    // Its migration says that everybody may read the tenants, because resolving needs it.
    registry: 'outside',
    credentials: 'absent',
    request: 'offered',
    log: 'absent',
  },
  own: {
    schema: `${TENANTS_SQL} ${OWN_SQL}`,
    keys: '`id serial primary key` and its `tenantId` column, as the example of its schema helper; references on `id`',
  },
  async walls(tables, tenants, app) {
    return [
      TENANTS_SQL,
      ...tenants.map(({ id, slug }) => `insert into tenants (id, name, slug) values ('${id}', '${slug}', '${slug}');`),
      await generateMigration(VERSION, tables),
      `grant select on tenants to ${app};`,
      rowRights(tables, app),
    ].join('\n')
  },
  open: openBetterTenant,
}

type Database = ReturnType<typeof drizzle>

/** Ends a transaction that did what was asked of it: nothing an attack does is kept. */
class RolledBack extends Error {
  readonly result: unknown
  constructor(result: unknown) {
    super('rolled back')
    this.result = result
  }
}

/** One connection, so that tenants meet on it. */
function openBetterTenant(url: string): Library {
  const pool = new pg.Pool({ connectionString: url, max: 1, allowExitOnIdle: true })
  pool.on('error', () => {})
  const tenant = betterTenant({
    database: drizzleDatabase(drizzle(pool)),
    tenantResolver: { header: 'x-tenant-id' },
    telemetry: { enabled: false },
  })
  const scoped = async <T>({ id }: TenantRef, fn: (db: TenantDb) => Promise<T>): Promise<T> => {
    try {
      return await tenant.handleRequest({ headers: { 'x-tenant-id': id } }, () =>
        fn({ query: (text, values) => execute(tenant.getDatabase() as unknown as Database, text, values) }),
      )
    } catch (error) {
      throw innermost(error)
    }
  }
  return {
    name: '@usebetterdev/tenant',
    asTenant: (ref, text, values) => scoped(ref, (db) => db.query(text, values)),
    attempt: async <T>(ref: TenantRef, fn: (db: TenantDb) => Promise<T>) => {
      const ended = await scoped(ref, async (db) => {
        throw new RolledBack(await fn(db))
      }).catch((error: unknown) => error)
      if (ended instanceof RolledBack) return ended.result as T
      throw ended
    },
    withoutTenant: (text) => pool.query(text),
    contextOf: async ({ id }) => [{ text: `select set_config('${SETTING}', $1, true)`, values: [id] }],
    resolve: async (request) => {
      const id = await tenant.resolveTenant({ headers: joined(request), method: request.method })
      const known = [ATTACKER, VICTIM].find((ref) => ref.id === id)
      if (known === undefined) throw new Error('no tenant was resolved')
      return known.slug
    },
    translate: (statement) => statement.replaceAll('rowhouse.seal', SETTING).replaceAll('rowhouse.tenant', 'tenants'),
    forge: (_own, victim) => victim.id,
    close: () => pool.end(),
  }
}

/** Sends text as it is, with its parameters in the places Drizzle would give them. */
async function execute(db: Database, text: string, values: readonly unknown[] = []): Promise<QueryResult> {
  const parts = text.split(/\$\d+/)
  const chunks = parts.flatMap((part, index) =>
    index < parts.length - 1 ? [sql.raw(part), sql`${values[index]}`] : [sql.raw(part)],
  )
  return (await db.execute(sql.join(chunks))) as unknown as QueryResult
}

/** The wrapped error of the database, or the one an attack threw. */
function innermost(error: unknown): unknown {
  if (error instanceof RolledBack || !(error instanceof Error)) return error
  return error.cause === undefined ? error : innermost(error.cause)
}

/** Headers as node:http gives them to a framework: names in lower case, repeated ones joined. */
function joined({ rawHeaders }: RequestFacts): Record<string, string> {
  const headers: Record<string, string> = {}
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase()
    const value = rawHeaders[index + 1] ?? ''
    if (name === 'host' && headers[name] !== undefined) continue
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  return headers
}
