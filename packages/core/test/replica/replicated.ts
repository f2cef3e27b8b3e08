import pg from 'pg'
import { createRowhouse, type Rowhouse, type RowhouseOptions } from 'rowhouse'
import { createTenantAdmin, install } from 'rowhouse/install'
import { type EmbeddedPostgres, startPostgres } from 'rowhouse-embedded'
import { type StreamingReplica, startReplica } from './streaming-replica.ts'

export const ROOT_KEY = 'ab'.repeat(32)
const APP_PASSWORD = 'replica-test'

/** A line of the log, with the level it was written at. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A primary with a streaming replica, tenants with colliding ids, and an application that knows both. */
export interface Replicated {
  readonly primary: EmbeddedPostgres
  readonly replica: StreamingReplica
  /** Superuser of the primary. */
  readonly admin: pg.Client
  readonly tenants: readonly { readonly id: string; readonly slug: string }[]
  readonly lines: LogLine[]
  open(options?: Partial<RowhouseOptions>): Promise<Rowhouse>
  /** Names the replicas of server `main` in the registry, by the URLs of their superuser. */
  register(...urls: string[]): Promise<void>
  close(): Promise<void>
}

const SCHEMA = `
  create table item (tenant_id uuid not null, id bigint not null, label text not null, primary key (tenant_id, id));
  alter table item owner to rowhouse_owner;
  select rowhouse.protect('item');
  create function count_up(wanted bigint) returns bigint language plpgsql volatile as $$
    begin insert into item (id, label) values (wanted, 'counted'); return wanted; end $$;
  grant execute on function count_up(bigint) to rowhouse_app;`

export async function createReplicated(major: number, tenantCount = 2): Promise<Replicated> {
  const primary = await startPostgres({ major: major as 18, settings: { synchronous_commit: 'off' } })
  await install({ url: primary.url, rootKey: ROOT_KEY, appPassword: APP_PASSWORD })
  const admin = new pg.Client({ connectionString: primary.url })
  await admin.connect()
  await admin.query(SCHEMA)
  const registry = createTenantAdmin({ url: primary.url, rootKey: ROOT_KEY })
  const tenants = []
  for (let i = 0; i < tenantCount; i++)
    tenants.push(await registry.create({ slug: `tenant-${i}`, name: `Tenant ${i}` }))
  await registry.close()
  for (const { id, slug } of tenants) {
    await admin.query('insert into item (tenant_id, id, label) select $1, n, $2 from generate_series(1, 3) n', [
      id,
      slug,
    ])
  }
  const replica = await startReplica(primary, major)
  await replica.catchUp()
  const lines: LogLine[] = []
  const write = (level: LogLine['level']) => (fields: object, message: string) =>
    void lines.push({ level, message, fields: fields as LogLine['fields'] })
  const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  const opened: Rowhouse[] = []
  const login = { user: 'rowhouse_app', password: APP_PASSWORD }
  const register = async (...urls: string[]) => {
    const references = urls.map((url, index) => {
      const name = `TEST_REPLICA_${index}_${new URL(url).port}`
      const app = new URL(url)
      app.username = login.user
      app.password = login.password
      process.env[name] = app.href
      return `env:${name}`
    })
    await admin.query(`update rowhouse.server set replica_urls = $1 where name = 'main'`, [references])
  }
  await register(replica.url)
  return {
    primary,
    replica,
    admin,
    tenants,
    lines,
    register,
    open: async (options = {}) => {
      const url = primary.urlFor('postgres', login)
      const rowhouse = await createRowhouse({ url, rootKey: ROOT_KEY, log, ...options })
      opened.push(rowhouse)
      return rowhouse
    },
    close: async () => {
      await Promise.all(opened.map((rowhouse) => rowhouse.close()))
      await admin.end()
      await replica.stop()
      await primary.stop()
    },
  }
}
