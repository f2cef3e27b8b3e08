import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, protectAgain } from './own-objects.ts'

export const rlsNotForced: Rule = {
  id: 'L02',
  name: 'rls-not-forced',
  severity: 'error',
  title: 'Row-level security does not bind the owner of the table',
  why: 'The owner of a table, and every role that is a member of it, reads all rows past the policies unless row-level security is forced. Functions and views that run as the owner do the same. In many applications the login that serves requests is that owner.',
  remedy: 'Force row-level security, and let a role own the table that nobody logs in as.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select t.name as object,
           format('%s does not force row-level security: %I, its owner%s, reads the rows of all tenants', t.name, o.rolname,
                  case when exists (select from app_role a where a.oid = c.relowner) then ' and a role of the application' else '' end) as message,
           case when ${INSTALLED} then ${protectAgain('t.oid', 't.name')}
                else format('alter table %s force row level security;', t.name) end as mend
      from tenant_table t
      join pg_class c on c.oid = t.oid
      join pg_roles o on o.oid = c.relowner
     where c.relrowsecurity and not c.relforcerowsecurity`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
alter table t no force row level security`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      'create table central (id bigint primary key); alter table central enable row level security',
    ],
    elsewhere: {
      fires: [
        'create table invoice (id bigint primary key, org_id bigint); alter table invoice enable row level security',
      ],
      quiet: [
        'create table invoice (id bigint primary key, org_id bigint); alter table invoice enable row level security, force row level security',
      ],
    },
  },
}
