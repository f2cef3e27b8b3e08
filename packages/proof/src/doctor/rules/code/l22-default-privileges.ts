import { type Rule, SURVEYED } from '../../rule.ts'
import { REACH } from '../policy/own-objects.ts'

export const defaultPrivileges: Rule = {
  id: 'L22',
  name: 'default-privileges',
  severity: 'error',
  title: 'New objects are granted to the application by default',
  why: 'With such a default, a new table may be read by every tenant from the moment it exists, before anybody gave it policies. A migration that forgets them leaks at once instead of failing.',
  remedy: 'Take the default away. Grant each object by itself; `rowhouse protect` does it for tables.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH}
    select distinct format('default privileges of %I%s', o.rolname, coalesce(' in schema ' || quote_ident(n.nspname), '')) as object,
           format('%s that %I makes%s are open to %s from the start', k.kind, o.rolname, coalesce(' in schema ' || quote_ident(n.nspname), ''),
                  case r.oid when 0 then 'everybody' else quote_ident(r.name) end) as message,
           format('alter default privileges for role %I%s revoke all on %s from %s;', o.rolname, coalesce(' in schema ' || quote_ident(n.nspname), ''), k.kind,
                  case r.oid when 0 then 'public' else quote_ident(r.name) end) as mend
      from pg_default_acl d
      join pg_roles o on o.oid = d.defaclrole
      left join pg_namespace n on n.oid = d.defaclnamespace
      join (values ('r', 'tables'), ('S', 'sequences'), ('f', 'functions'), ('n', 'schemas')) k (letter, kind) on k.letter = d.defaclobjtype,
           aclexplode(d.defaclacl) acl
      join reach r on r.oid = acl.grantee
     where acl.grantee <> d.defaclrole
       -- Unless revoked, everybody may call functions: other defaults for functions repeat that, and L15 names each one.
       and not (d.defaclobjtype = 'f' and acl.grantee = 0 and d.defaclnamespace = 0)`,
  fixtures: {
    fires: [
      'alter default privileges grant select on tables to rowhouse_app',
      'alter default privileges for role rowhouse_owner in schema public grant usage on sequences to public',
      'alter default privileges for role rowhouse_owner in schema public grant execute on functions to rowhouse_app',
    ],
    quiet: [
      'alter default privileges grant select on tables to rowhouse_migrator',
      'alter default privileges revoke execute on functions from public',
    ],
  },
}
