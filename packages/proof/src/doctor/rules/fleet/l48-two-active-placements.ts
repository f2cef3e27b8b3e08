import { type Rule, SURVEYED } from '../../rule.ts'
import { PLACED, settle } from './placed.ts'

export const twoActivePlacements: Rule = {
  id: 'L48',
  name: 'two-active-placements',
  severity: 'error',
  title: 'Tenant that is active in two placements',
  why: 'Two databases that both take the writes of a tenant drift apart, and neither has all of it. Which one a request reaches is a matter of caches, so people see their work vanish and come back. Asked where the registry is kept: a tenant placed elsewhere must not be accepted here.',
  remedy:
    'The placement in the registry is the right one: suspend the resident here, compare both, then erase the stray copy.',
  applies: 'installed',
  sinceSchema: 4,
  sql: `with ${SURVEYED}, ${PLACED}
    select format('tenant %s', p.id) as object,
           format('tenant %s is placed %s, and its seals are accepted here as well', p.id,
                  case when p.server <> 'main' then format('on server %s', p.server) else 'in a database of its own' end) as message,
           null as mend
      from placed p where not p.lives_here and p.resident_state = 'active'`,
  fixtures: {
    fires: [
      settle({ placement: "'main', 'database', 't_acme_000000000001', null, 2, 1" }),
      `insert into rowhouse.server (name, region, app_url, admin_url) values ('far', 'eu', 'env:FAR', 'env:FAR_ADMIN');
${settle({ placement: "'far', 'pooled', null, null, 2, 1" })}`,
    ],
    quiet: [
      settle(),
      settle({ placement: "'main', 'database', 't_acme_000000000001', null, 2, 1", resident: false }),
      // Fenced off: its rows are still here, its seals are not accepted.
      settle({ placement: "'main', 'database', 't_acme_000000000001', null, 2, 1", resident: "1, 'suspended', null" }),
    ],
  },
}
