import type pg from 'pg'
import { MigrationError } from '../errors.ts'
import { withAdminConnection } from './admin-connection.ts'

/** What was made of the tables of a Citus server. */
export interface Distribution {
  /** Tenant tables now in shards, all of them colocated. */
  readonly distributed: readonly string[]
  /** Reference tables now copied to every node. */
  readonly references: readonly string[]
}

/** Protected tables, and tables all tenants may read and none owns, which are still local to the coordinator. */
const LOCAL_TABLES = `
  select c.oid::regclass::text as name,
         exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as tenant
    from pg_class c
   where c.relkind in ('r', 'p') and not c.relispartition and c.relowner = to_regrole('rowhouse_owner') and not rowhouse.is_reserved(c.oid)
     and not exists (select from pg_dist_partition d where d.logicalrelid = c.oid)
     and (exists (select from pg_policy p where p.polrelid = c.oid and p.polname in ('rowhouse_tenant', 'rowhouse_unit'))
          or (not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
              and has_table_privilege('rowhouse_app', c.oid, 'select')))
   order by c.oid`

/** Foreign keys from and to such tables: with them, tables that refer to each other can be distributed in no order. */
const FOREIGN_KEYS = `
  select f.conrelid::regclass::text as "table", quote_ident(f.conname) as name, pg_get_constraintdef(f.oid) as definition
    from pg_constraint f
   where f.contype = 'f' and f.conparentid = 0 and (f.conrelid::regclass::text = any ($1) or f.confrelid::regclass::text = any ($1))
   order by f.oid`

/**
 * Spreads protected tables of a Citus server over its workers by `tenant_id`, all of them colocated, and copies reference
 * tables to every node. Rows that are there already move along. Tables that are distributed stay as they are.
 *
 * In one transaction: policies and rights are on a table before it is distributed, so that its shards have them from the
 * first moment; foreign keys are taken away and added again behind it.
 *
 * @param url  a superuser's, of the coordinator
 * @throws {MigrationError} `ERR_MIGRATION_FAILED` with what Citus says, e.g. of a unique index without `tenant_id`
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED`, `ERR_CONFIG_INVALID`
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`; safe to retry
 * @example
 * ```ts
 * import { distribute, protect } from 'rowhouse/install'
 * const url = process.env.CITUS_ADMIN_URL
 * await protect({ url, tables: [{ name: 'shipment' }], references: ['port'] })
 * const { distributed, references } = await distribute({ url })
 * console.log(distributed, references)
 * ```
 */
export function distribute({ url }: { readonly url: string | undefined }): Promise<Distribution> {
  return withAdminConnection(url, distributeWith)
}

/** As `distribute`, over a superuser's connection that is in no transaction. */
export async function distributeWith(client: Pick<pg.ClientBase, 'query'>): Promise<Distribution> {
  await client.query('begin')
  try {
    // Foreign keys to reference tables forbid statements that run on all shards at once.
    await client.query(`set local citus.multi_shard_modify_mode = 'sequential'`)
    const made = await spread(client)
    await client.query('commit')
    await closeWorkers(client)
    return made
  } catch (error) {
    await client.query('rollback').catch(() => {})
    if (error instanceof MigrationError) throw error
    throw new MigrationError('ERR_MIGRATION_FAILED', `Cannot distribute the tables: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/**
 * Takes from the application what Citus granted it on the workers themselves; it comes in by the coordinator alone.
 * Not in the transaction of the grants, which it would wait for.
 *
 * @throws {MigrationError} `ERR_MIGRATION_FAILED` naming workers that did not do so
 */
async function closeWorkers(client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  const { rows } = await client.query<{ failed: string | null }>(
    `select string_agg(format('%s:%s: %s', nodename, nodeport, result), '; ') filter (where not success) as failed
       from run_command_on_workers('select rowhouse.close_worker()')`,
  )
  const failed = rows[0]?.failed
  if (failed == null) return
  throw new MigrationError('ERR_MIGRATION_FAILED', `Cannot close the workers to the application: ${failed}`)
}

/** As `closeWorkers` on a coordinator of Citus, nothing elsewhere. */
export async function closeWorkersOfCitus(client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  const { rowCount } = await client.query(`select from pg_extension where extname = 'citus'`)
  if (rowCount === 1) await closeWorkers(client)
}

interface ForeignKey {
  readonly table: string
  readonly name: string
  readonly definition: string
}

async function spread(client: Pick<pg.ClientBase, 'query'>): Promise<Distribution> {
  const { rows } = await client.query<{ name: string; tenant: boolean }>(LOCAL_TABLES)
  const names = rows.map(({ name }) => name)
  const references = rows.filter(({ tenant }) => !tenant).map(({ name }) => name)
  const distributed = rows.filter(({ tenant }) => tenant).map(({ name }) => name)
  const keys = await client.query<ForeignKey>(FOREIGN_KEYS, [names])
  for (const { table, name } of keys.rows) await client.query(`alter table ${table} drop constraint ${name}`)
  for (const name of references) await client.query('select create_reference_table($1)', [name])
  for (const name of distributed) {
    const colocated = await findDistributed(client)
    await client.query(`select create_distributed_table($1, 'tenant_id', colocate_with => $2)`, [name, colocated])
  }
  for (const { table, name, definition } of keys.rows) {
    await client.query(`alter table ${table} add constraint ${name} ${definition}`)
  }
  return { distributed, references }
}

/** Tables of one platform belong together: a tenant's rows of all of them lie on one worker. */
async function findDistributed(client: Pick<pg.ClientBase, 'query'>): Promise<string> {
  const text = `select d.logicalrelid::text as name from pg_dist_partition d join pg_class c on c.oid = d.logicalrelid
     where d.partmethod = 'h' and c.relowner = to_regrole('rowhouse_owner') order by d.logicalrelid::oid limit 1`
  return (await client.query<{ name: string }>(text)).rows[0]?.name ?? 'none'
}
