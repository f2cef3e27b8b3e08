import { type Rule, SURVEYED } from '../../rule.ts'

export const registryDisagrees: Rule = {
  id: 'L58',
  name: 'registry-disagrees',
  severity: 'warning',
  title: 'Tenant that the registry and the database see differently',
  why: 'The registry says who is a tenant, the table of residents whose seals are accepted. A resident that is in no registry, or that is suspended there and active here, still gets in with a seal; a tenant without residence is turned away.',
  remedy:
    'Suspend, resume or create the tenant again with the admin functions, which change both sides at once. Remove a resident that nobody knows after a look at its rows.',
  applies: 'installed',
  sql: `with ${SURVEYED}
    select format('tenant %s', coalesce(t.id, r.tenant_id)) as object,
           case when t.id is null then format('tenant %s lives here and is in no registry: its seals are accepted', r.tenant_id)
                when r.tenant_id is null then format('tenant %s is in the registry and lives nowhere', t.id)
                else format('tenant %s is %s in the registry and %s here', t.id, t.state, r.state) end as message,
           null as mend
      from rowhouse.tenant t full join rowhouse.resident r on r.tenant_id = t.id
     -- The nil tenant is the platform itself.
     where coalesce(t.id, r.tenant_id) <> '00000000-0000-0000-0000-000000000000' and t.state is distinct from r.state`,
  fixtures: {
    fires: [
      `insert into rowhouse.tenant (id, slug, name) values ('00000000-0000-4000-8000-000000000001', 'left-over', 'Left over')`,
      `insert into rowhouse.resident (tenant_id, key_version, ipad, opad)
values ('00000000-0000-4000-8000-000000000001', 1, decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'))`,
      `insert into rowhouse.tenant (id, slug, name, state) values ('00000000-0000-4000-8000-000000000001', 'not-gone', 'Not gone', 'suspended');
insert into rowhouse.resident (tenant_id, key_version, ipad, opad)
values ('00000000-0000-4000-8000-000000000001', 1, decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'))`,
    ],
    quiet: [
      'select 1',
      `insert into rowhouse.tenant (id, slug, name) values ('00000000-0000-4000-8000-000000000001', 'at-home', 'At home');
insert into rowhouse.resident (tenant_id, key_version, ipad, opad)
values ('00000000-0000-4000-8000-000000000001', 1, decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'))`,
    ],
  },
}
