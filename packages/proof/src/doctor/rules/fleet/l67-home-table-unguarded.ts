import { type Rule, SURVEYED } from '../../rule.ts'
import { isHome } from '../policy/canonical-policies.ts'
import { REACH } from '../policy/own-objects.ts'

const HOME = 't_acme_000000000001'

export const homeTableUnguarded: Rule = {
  id: 'L67',
  name: 'home-table-unguarded',
  severity: 'error',
  title: 'Table in the schema of a tenant that no policy guards',
  why: 'Tenants with schemas of their own are served by one login, and a name may be written with its schema: `select * from t_other….note`. Only the policies of the table refuse that. One without `tenant_id` has none, so it is read by every other tenant of the database, although it lies in a schema of its own.',
  remedy:
    'Give the table a `tenant_id` and protect it, or keep it in `public` as a reference table if all tenants may read it.',
  applies: 'installed',
  sinceSchema: 4,
  sql: `with ${SURVEYED}, ${REACH}
    select format('%I.%I', n.nspname, c.relname) as object,
           format('%I.%I has no tenant_id and no policy, and the application may name it as any tenant', n.nspname, c.relname) as message,
           format('revoke all on %I.%I from public%s;', n.nspname, c.relname, (select string_agg(format(', %I', a.name), '' order by a.name) from app_role a)) as mend
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and ${isHome('n.nspname')} and c.oid not in (select oid from tenant_table)
       and (exists (select from aclexplode(c.relacl) acl join reach r on r.oid = acl.grantee)
         or exists (select from pg_attribute a, aclexplode(a.attacl) acl join reach r on r.oid = acl.grantee where a.attrelid = c.oid))`,
  fixtures: {
    fires: [
      `create schema ${HOME}; create table ${HOME}.note (id bigint primary key); grant select on ${HOME}.note to rowhouse_app`,
      `create schema ${HOME}; create table ${HOME}.note (id bigint primary key); grant select (id) on ${HOME}.note to public`,
    ],
    quiet: [
      `create schema ${HOME};
create table ${HOME}.t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('${HOME}.t')`,
      `create schema ${HOME}; create table ${HOME}.note (id bigint primary key)`,
      'create table port (code text primary key); grant select on port to rowhouse_app',
    ],
  },
}
