/** What the registry of this database says, beside who lives in it: `placed`. Versions before 4 have no placements. */

/** Stands for the platform itself, which is resident everywhere and in no registry. */
const PLATFORM = "'00000000-0000-0000-0000-000000000000'"

/**
 * A row per tenant of the registry or of this database. Empty where the registry is not kept: application databases of
 * other servers, and a tenant's own, have residents only.
 */
export const PLACED = `
placed as (
  select coalesce(t.id, r.tenant_id) as id, t.state, p.server, p.model, p.database_name, p.schema_name, p.epoch, p.key_version,
         p.server = 'main' and p.model <> 'database' as lives_here, t.id is not null as registered, p.tenant_id is not null as has_placement,
         r.tenant_id is not null as resident, r.state as resident_state, r.home, r.epoch as resident_epoch, r.key_version as resident_key_version
    from rowhouse.tenant t
    left join rowhouse.placement p on p.tenant_id = t.id
    full join (select * from rowhouse.resident where tenant_id <> ${PLATFORM}) r on r.tenant_id = t.id
   where exists (select from rowhouse.tenant))`

/** SQL of a fixture: a tenant in the registry, where it is placed, and its key here. `false` leaves one out. */
export interface SettledTenant {
  readonly state?: string
  /** `server, model, database_name, schema_name, epoch, key_version`. */
  readonly placement?: string | false
  /** `epoch, state, home`. */
  readonly resident?: string | false
}

export const FIRST_TENANT = '00000000-0000-4000-8000-000000000001'

/** Returns statements that settle `FIRST_TENANT`, by default in the shared tables of this database. */
export function settle({
  state = 'active',
  placement = "'main', 'pooled', null, null, 1, 1",
  resident = "1, 'active', null",
}: SettledTenant = {}): string {
  const statements = [
    `insert into rowhouse.tenant (id, slug, name, state) values ('${FIRST_TENANT}', 'acme', 'Acme', '${state}')`,
    placement &&
      `insert into rowhouse.placement (tenant_id, server, model, database_name, schema_name, epoch, key_version)
values ('${FIRST_TENANT}', ${placement})`,
    resident &&
      `insert into rowhouse.resident (tenant_id, epoch, state, home, key_version, ipad, opad)
values ('${FIRST_TENANT}', ${resident}, 1, decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'))`,
  ]
  return statements.filter((statement) => statement !== false).join(';\n')
}
