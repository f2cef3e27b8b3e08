import pg, { type PoolClient } from 'pg'
import type { Library, TenantRef } from '../../src/verify/arena.ts'
import { SINGLE_KEYS_SQL } from './neutral-schema.ts'
import { packageVersion } from './package-version.ts'
import { type Peer, rowRights } from './peer.ts'

const SETTING = 'app.tenant_id'

/** What guides to multi-tenancy in PostgreSQL teach: one policy on a setting that each transaction sets for itself. */
export const setConfigPeer: Peer = {
  name: 'set_config',
  version: `with pg ${packageVersion('pg')}`,
  purpose: 'A pattern of a policy and three statements, for applications that want no library',
  setup:
    "pg pool; `begin`, `set_config('app.tenant_id', $1, true)`, the statement, `commit`; `enable` and `force row level security`, policy `using (tenant_id = current_setting('app.tenant_id')::uuid)`, a login that owns no table",
  setting: SETTING,
  surfaces: {
    rows: 'offered',
    context: 'offered',
    keys: 'offered',
    signature: 'absent',
    session: 'outside',
    login: 'outside',
    registry: 'absent',
    credentials: 'absent',
    request: 'absent',
    log: 'absent',
  },
  own: { schema: SINGLE_KEYS_SQL, keys: '`id uuid primary key`, references on `id`' },
  walls: async (tables, _tenants, app) =>
    [
      ...tables.map(
        (table) => `alter table ${table} enable row level security;
alter table ${table} force row level security;
create policy tenant_isolation on ${table} using (tenant_id = current_setting('${SETTING}')::uuid);`,
      ),
      rowRights(tables, app),
    ].join('\n'),
  open: openSetConfig,
}

/** One connection, so that tenants meet on it. */
function openSetConfig(url: string): Library {
  const pool = new pg.Pool({ connectionString: url, max: 1, allowExitOnIdle: true })
  pool.on('error', () => {})
  const send = (client: PoolClient, text: string, values?: readonly unknown[]) =>
    client.query(text, values === undefined ? undefined : [...values])
  const scoped = async <T>(tenant: TenantRef, end: 'commit' | 'rollback', fn: (client: PoolClient) => Promise<T>) => {
    const client = await pool.connect()
    try {
      await client.query('begin')
      await client.query(`select set_config('${SETTING}', $1, true)`, [tenant.id])
      const result = await fn(client)
      await client.query(end)
      return result
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }
  return {
    name: 'set_config',
    asTenant: (tenant, text, values) => scoped(tenant, 'commit', (client) => send(client, text, values)),
    attempt: (tenant, fn) =>
      scoped(tenant, 'rollback', (client) => fn({ query: (text, values) => send(client, text, values) })),
    withoutTenant: (text) => pool.query(text),
    contextOf: async ({ id }) => [{ text: `select set_config('${SETTING}', $1, true)`, values: [id] }],
    translate: (sql) => sql.replaceAll('rowhouse.seal', SETTING),
    forge: (_own, victim) => victim.id,
    close: () => pool.end(),
  }
}
