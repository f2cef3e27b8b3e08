import { type Rule, SURVEYED } from '../../rule.ts'
import { isHome } from '../policy/canonical-policies.ts'
import { OPEN_MOVES, openMove } from './open-moves.ts'
import { FIRST_TENANT, settle } from './placed.ts'

const HOME = 't_acme_000000000001'

export const homeWithoutTenant: Rule = {
  id: 'L64',
  name: 'home-without-tenant',
  severity: 'warning',
  title: 'Schema of a tenant that nobody lives in, or a tenant whose schema is gone',
  why: 'A schema that stayed after a failed provisioning, a move or an erasure holds the data of somebody who believes it is elsewhere, or gone. A tenant whose schema is missing finds the shared tables instead, which refuse it. What an open move makes or keeps is passed over where the registry is kept; on other servers the old home of a tenant is reported from the switch until the move is completed.',
  remedy:
    'Look whose rows the schema holds and at legal holds, then drop it with the tenant’s registry entry; restore the one that is missing.',
  applies: 'installed',
  sinceSchema: 6,
  sql: `with ${SURVEYED}, ${OPEN_MOVES}
    select format('schema %I', n.nspname) as object, format('%I is the home of a tenant, and none of this database lives there', n.nspname) as message, null as mend
      from pg_namespace n where ${isHome('n.nspname')} and not exists (select from rowhouse.resident r where r.home = n.nspname)
         and not exists (select from open_move o where o.home = n.nspname)
         and not exists (select from rowhouse.ddl_freeze f where f.home = n.nspname and f.held_by = 'rowhouse moves' and f.until > now())
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
      // Being made by a move, and kept by one.
      `create schema ${HOME};
${settle()};
${openMove(FIRST_TENANT, HOME)}`,
      `create schema ${HOME};
insert into rowhouse.ddl_freeze (home, reason, held_by, until) values ('${HOME}', 'tenants are being moved', 'rowhouse moves', now() + interval '1 h')`,
    ],
  },
}
