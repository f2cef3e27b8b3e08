import pg from 'pg'
import { Sealer } from '../seal/seal.ts'
import type { RootKey } from '../seal/tenant-key.ts'
import type { Tenant } from '../tenant/tenant.ts'
import type { Runner } from './home.ts'

/**
 * Makes the rest of an open transaction one tenant's: policies hold for `rowhouse_owner` as well, so it reads and writes
 * that tenant's rows and no others, and `tenant_id` is filled in. Ends with the transaction.
 *
 * @param client  inside a transaction, as `rowhouse_owner`, in the database the tenant lives in
 * @param actor  whom audits name, e.g. `provisioning`
 * @example
 * ```ts
 * // @illustration
 * await client.query('begin')
 * await client.query('set local role rowhouse_owner')
 * await becomeTenant(client, rootKey, tenant, 'provisioning')
 * await client.query(`insert into setting (key, value) values ('currency', 'EUR')`)
 * await client.query('commit')
 * ```
 */
export async function becomeTenant(client: Runner, rootKey: RootKey, tenant: Tenant, actor: string): Promise<void> {
  const seal = new Sealer(rootKey).seal({ tenant, actor, units: undefined, readOnly: false, timeoutMs: undefined })
  const path = [tenant.placement.schema, 'public', 'pg_temp'].filter((part) => part !== undefined).join(',')
  // SET LOCAL, because Citus repeats it on its workers, where it is told to; set_config() stays where it is called.
  await client.query(`
    select set_config('citus.propagate_set_commands', 'local', true) from pg_extension where extname = 'citus';
    set local rowhouse.seal = ${pg.escapeLiteral(seal.text)};
    set local search_path = ${path}`)
}
