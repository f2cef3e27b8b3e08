import { type Rule, SURVEYED } from '../../rule.ts'
import { OPEN_MOVES, openMove } from './open-moves.ts'
import { FIRST_TENANT, PLACED, settle } from './placed.ts'

const HOME = 't_acme_000000000001'

export const registryDisagrees: Rule = {
  id: 'L58',
  name: 'registry-disagrees',
  severity: 'warning',
  title: 'Tenant that the registry and the database see differently',
  why: 'The registry says who is a tenant and where it lives, the table of residents whose seals are accepted. A resident that is in no registry, or that is suspended there and active here, still gets in with a seal; one whose epoch, key or home is another is turned away wherever it is sent. Asked where the registry is kept: other databases have residents only.',
  remedy:
    'Suspend, resume or create the tenant again with the admin functions, which change both sides. Remove a resident that nobody knows after a look at its rows.',
  applies: 'installed',
  sinceSchema: 6,
  sql: `with ${SURVEYED}, ${PLACED}, ${OPEN_MOVES}, judged as (
      select p.id,
             case when not p.registered then 'lives here and is in no registry: its seals are accepted'
                  when not p.has_placement and p.state <> 'erased' then 'is in the registry and placed nowhere'
                  when not p.lives_here or not p.has_placement then null
                  -- A cut changes both sides one after the other, and fences the tenant meanwhile.
                  when exists (select from open_move o where o.tenant_id = p.id and (o.state in ('cutting', 'reverting') or p.resident_state = 'fenced')) then null
                  when not p.resident then case when p.state in ('standby', 'active', 'suspended', 'offboarding') then 'is placed here and lives nowhere' end
                  when p.state in ('active', 'suspended') and p.resident_state <> p.state
                    or p.state in ('offboarding', 'erased', 'failed') and p.resident_state = 'active' then format('is %s in the registry and %s here', p.state, p.resident_state)
                  when p.home is distinct from p.schema_name then format('is placed in %s and lives in %s', coalesce(p.schema_name, 'shared tables'), coalesce(p.home, 'shared tables'))
                  when p.resident_epoch <> p.epoch then format('has epoch %s in the registry and %s here: its seals are refused', p.epoch, p.resident_epoch)
                  when p.resident_key_version <> p.key_version then format('has key %s in the registry and %s here', p.key_version, p.resident_key_version) end as fault
        from placed p)
    select format('tenant %s', j.id) as object, format('tenant %s %s', j.id, j.fault) as message, null as mend
      from judged j where j.fault is not null`,
  fixtures: {
    fires: [
      settle({ resident: false }),
      `${settle()};
insert into rowhouse.resident (tenant_id, key_version, ipad, opad)
values ('00000000-0000-4000-8000-000000000002', 1, decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'))`,
      settle({ state: 'suspended' }),
      `${settle()};
update rowhouse.tenant set state = 'offboarding' where id = '${FIRST_TENANT}'`,
      settle({ placement: false }),
      settle({ placement: "'main', 'pooled', null, null, 2, 1" }),
      settle({ placement: "'main', 'pooled', null, null, 1, 2" }),
      settle({ placement: `'main', 'schema', null, '${HOME}', 1, 1` }),
      // Shut out, and nobody moves it.
      settle({ resident: "1, 'fenced', null" }),
    ],
    quiet: [
      'select 1',
      settle(),
      settle({ state: 'suspended', resident: "1, 'suspended', null" }),
      settle({ placement: `'main', 'schema', null, '${HOME}', 1, 1`, resident: `1, 'active', '${HOME}'` }),
      `${settle({ resident: "1, 'fenced', null" })};
${openMove(FIRST_TENANT, HOME, 'cutting')}`,
      // Being made, and made in advance.
      settle({ state: 'provisioning', resident: false }),
      `${settle({ state: 'provisioning' })};
update rowhouse.tenant set state = 'standby' where id = '${FIRST_TENANT}'`,
      // In a database of its own, and on another server: their residents are there.
      settle({ placement: "'main', 'database', 't_acme_000000000001', null, 1, 1", resident: false }),
      `insert into rowhouse.server (name, region, app_url, admin_url) values ('far', 'eu', 'env:FAR', 'env:FAR_ADMIN');
${settle({ placement: "'far', 'pooled', null, null, 7, 1", resident: false })}`,
      // A database without the registry.
      `insert into rowhouse.resident (tenant_id, key_version, ipad, opad)
values ('${FIRST_TENANT}', 1, decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'))`,
    ],
  },
}
