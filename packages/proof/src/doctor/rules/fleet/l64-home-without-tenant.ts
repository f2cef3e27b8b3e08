import { type Rule, SURVEYED } from '../../rule.ts'
import { isHome } from '../policy/canonical-policies.ts'
import { settle } from './placed.ts'

const HOME = 't_acme_000000000001'

export const homeWithoutTenant: Rule = {
  id: 'L64',
  name: 'home-without-tenant',
  severity: 'warning',
  title: 'Schema of a tenant that nobody lives in, or a tenant whose schema is gone',
  why: 'A schema that stayed after a failed provisioning, a move or an erasure holds the data of somebody who believes it is elsewhere, or gone. A tenant whose schema is missing finds the shared tables instead, which refuse it.',
  remedy:
    'Look whose rows the schema holds and at legal holds, then drop it with the tenant’s registry entry; restore the one that is missing.',
  applies: 'installed',
  sinceSchema: 4,
  sql: `with ${SURVEYED}
    select format('schema %I', n.nspname) as object, format('%I is the home of a tenant, and none of this database lives there', n.nspname) as message, null as mend
      from pg_namespace n where ${isHome('n.nspname')} and not exists (select from rowhouse.resident r where r.home = n.nspname)
    union all
    select format('tenant %s', r.tenant_id), format('tenant %s lives in schema %I, which does not exist', r.tenant_id, r.home), null
      from rowhouse.resident r where r.home is not null and not exists (select from pg_namespace n where n.nspname = r.home)`,
  fixtures: {
    fires: [
      `create schema ${HOME}`,
      settle({ placement: `'main', 'schema', null, '${HOME}', 1, 1`, resident: `1, 'active', '${HOME}'` }),
    ],
    quiet: [
      `create schema ${HOME};
${settle({ placement: `'main', 'schema', null, '${HOME}', 1, 1`, resident: `1, 'active', '${HOME}'` })}`,
      'create schema t_shirts',
    ],
  },
}
