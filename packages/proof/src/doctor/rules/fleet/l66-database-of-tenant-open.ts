import { type Rule, SURVEYED } from '../../rule.ts'
import { isHome } from '../policy/canonical-policies.ts'

/** A row of the catalog stands for a database: CREATE DATABASE runs in no transaction. */
function databaseWith(acl: string): string {
  return `set local allow_system_table_mods = on;
insert into pg_database
select (jsonb_populate_record(d, jsonb_build_object('oid', '4000000000', 'datname', 't_acme_000000000001', 'datallowconn', true, 'datacl', ${acl}))).*
  from pg_database d where d.datname = 'template0'`
}

export const databaseOfTenantOpen: Rule = {
  id: 'L66',
  name: 'database-of-tenant-open',
  severity: 'error',
  title: 'Database of a tenant that everybody may enter',
  why: 'CREATE DATABASE lets PUBLIC connect and make temporary tables, also in a copy of a template where that was revoked. Every login of the server, of whatever application, then reads the names of everything in the database of one tenant, and keeps tables there.',
  remedy: 'Revoke the rights from PUBLIC; provisioning does so in the same step that makes the database.',
  applies: 'installed',
  sinceSchema: 4,
  sql: `with ${SURVEYED}, held as (
      select d.datname, case acl.grantee when 0 then 'public' else r.rolname::text end as grantee, acl.privilege_type as right
        from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) acl left join pg_roles r on r.oid = acl.grantee
       -- One that is being dropped, or was left half made, is entered by nobody.
       where ${isHome('d.datname')} and d.datallowconn and d.datconnlimit <> -2 and acl.grantee <> d.datdba
         and (acl.grantee = 0 or acl.privilege_type <> 'CONNECT' and exists (select from app_role a where a.oid = acl.grantee)))
    select format('database %I', h.datname) as object,
           format('%s may %s %I, the database of a tenant', case h.grantee when 'public' then 'everybody' else quote_ident(h.grantee) end,
                  case h.right when 'CONNECT' then 'connect to' when 'TEMPORARY' then 'make temporary tables in' else 'create schemas in' end, h.datname) as message,
           format('revoke %s on database %I from %s;', lower(h.right), h.datname, case h.grantee when 'public' then 'public' else quote_ident(h.grantee) end) as mend
      from held h`,
  fixtures: {
    fires: [
      databaseWith('null'),
      databaseWith("array['=c/' || quote_ident(current_user) || '']"),
      databaseWith("array['rowhouse_app=cT/' || quote_ident(current_user) || '']"),
    ],
    quiet: [
      databaseWith(
        "array['rowhouse_app=c/' || quote_ident(current_user) || '', 'rowhouse_migrator=c/' || quote_ident(current_user) || '']",
      ),
    ],
  },
}
