import { type Rule, SURVEYED } from '../../rule.ts'
import { isHome } from '../policy/canonical-policies.ts'

const HOME = 't_acme_000000000001'

export const homeShadows: Rule = {
  id: 'L68',
  name: 'home-shadows',
  severity: 'warning',
  title: 'Name in the schema of a tenant that hides a shared one',
  why: 'The search path of a tenant with a schema of its own begins there and ends in `public`. A table of the name of a reference table is read instead of it, a function that fits better than the one of PostgreSQL is called instead of it, by the same statement that does the right thing for everybody else.',
  remedy: 'Drop the object or give it a name of its own; find out who made it, the application cannot have.',
  applies: 'installed',
  sinceSchema: 4,
  sql: `with ${SURVEYED}
    select format('%I.%I', n.nspname, c.relname) as object,
           format('%I.%I hides public.%2$I, which all tenants share', n.nspname, c.relname) as message, null as mend
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      join pg_class s on s.relname = c.relname and s.relnamespace = 'public'::regnamespace
     where ${isHome('n.nspname')} and c.relkind in ('r', 'p', 'v', 'm', 'f') and s.relkind in ('r', 'p', 'v', 'm', 'f')
       and s.relkind in ('r', 'p') and s.oid not in (select oid from tenant_table)
    union all
    select format('function %s', f.oid::regprocedure), format('function %s may be called instead of %I.%I', f.oid::regprocedure, sn.nspname, f.proname), null
      from pg_proc f join pg_namespace n on n.oid = f.pronamespace and ${isHome('n.nspname')}
      join lateral (select distinct x.pronamespace from pg_proc x where x.proname = f.proname and x.pronamespace = 'pg_catalog'::regnamespace) s on true
      join pg_namespace sn on sn.oid = s.pronamespace
    union all
    select format('operator %I.%s', n.nspname, o.oid::regoperator), format('operator %s of schema %I may be used instead of the one of PostgreSQL', o.oprname, n.nspname), null
      from pg_operator o join pg_namespace n on n.oid = o.oprnamespace and ${isHome('n.nspname')}
     where exists (select from pg_operator x where x.oprname = o.oprname and x.oprnamespace = 'pg_catalog'::regnamespace)`,
  fixtures: {
    fires: [
      `create table port (code text primary key);
create schema ${HOME}; create table ${HOME}.port (code text primary key)`,
      `create schema ${HOME}; create function ${HOME}.lower(varchar) returns text return 'x'`,
      `create schema ${HOME}; create operator ${HOME}.= (leftarg = text, rightarg = name, function = pg_catalog.texteqname)`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t');
create schema ${HOME}; create table ${HOME}.t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('${HOME}.t')`,
      `create schema ${HOME}; create function ${HOME}.total(numeric) returns numeric return $1`,
    ],
  },
}
