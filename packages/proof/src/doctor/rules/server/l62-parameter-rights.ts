import { type Rule, SURVEYED } from '../../rule.ts'

export const parameterRights: Rule = {
  id: 'L62',
  name: 'parameter-rights',
  severity: 'error',
  title: 'Server setting that the application may change',
  why: 'Settings only a superuser may change are so because they go past rights: `session_replication_role` switches triggers and foreign keys off, others load libraries or write files. Granted to the application, one injected SELECT can change them for its statement.',
  remedy: 'Revoke the right. What needs it, e.g. a bulk load, logs in as another role.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select format('parameter %s', p.parname) as object,
           format('%s may %s %s', case x.grantee when 0 then 'everybody' else format('role %I, of the application,', a.name) end, x.privilege_type, p.parname) as message,
           format('revoke %s on parameter %s from %s;', x.privilege_type, p.parname, case x.grantee when 0 then 'public' else quote_ident(a.name) end) as mend
      from pg_parameter_acl p
     cross join aclexplode(p.paracl) x
      left join app_role a on a.oid = x.grantee
     where x.grantee = 0 or a.oid is not null`,
  fixtures: {
    fires: [
      'grant set on parameter session_replication_role to rowhouse_app',
      'grant alter system on parameter log_statement to public',
    ],
    quiet: ['grant set on parameter session_replication_role to rowhouse_migrator'],
  },
}
