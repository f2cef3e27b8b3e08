import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED } from '../policy/own-objects.ts'

/** Memberships that read or write past grants or reach the machine. */
const POWERFUL = [
  'pg_read_all_data',
  'pg_write_all_data',
  'pg_maintain',
  'pg_signal_backend',
  'pg_create_subscription',
  'pg_execute_server_program',
  'pg_read_server_files',
  'pg_write_server_files',
]
  .map((name) => `'${name}'`)
  .join(', ')

export const roleMembership: Rule = {
  id: 'L37',
  name: 'role-membership',
  severity: 'error',
  title: 'Membership that gives the application more than its own rights',
  why: 'Whatever is granted to a role, now or next year, its members get. With a role of PostgreSQL such as pg_read_all_data or pg_execute_server_program the application reads every table or leaves the database. Rowhouse grants what the application needs to rowhouse_app and to nothing else, so a further membership is always a surprise.',
  remedy: 'Revoke the membership; grant the rights that are needed one by one.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select distinct format('role %I', m.name) as object, format('role %I, of the application, is a member of %I', m.name, g.rolname) as message,
           format('revoke %I from %I;', g.rolname, m.name) as mend
      from pg_auth_members x join app_role m on m.oid = x.member join pg_roles g on g.oid = x.roleid
     where case when g.rolname in (${POWERFUL}) then true
                -- The owner and the migrator are L36; logins of one application share rowhouse_app.
                else ${INSTALLED} and g.rolname not in ('rowhouse_app', 'rowhouse_owner', 'rowhouse_migrator') end`,
  fixtures: {
    fires: [
      'grant pg_read_all_data to rowhouse_app',
      'grant pg_execute_server_program to rowhouse_app',
      'create role rowhouse_fixture_reports; grant rowhouse_fixture_reports to rowhouse_app',
    ],
    quiet: [
      'create role rowhouse_fixture_web login in role rowhouse_app',
      'grant pg_read_all_data to rowhouse_migrator',
    ],
    elsewhere: {
      fires: ['grant pg_write_all_data to rowhouse_app'],
      quiet: ['create role rowhouse_fixture_group; grant rowhouse_fixture_group to rowhouse_app'],
    },
  },
}
