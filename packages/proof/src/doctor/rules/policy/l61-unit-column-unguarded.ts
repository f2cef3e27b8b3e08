import { type Rule, SURVEYED } from '../../rule.ts'

export const unitColumnUnguarded: Rule = {
  id: 'L61',
  name: 'unit-column-unguarded',
  severity: 'warning',
  title: 'Table with units and without the policy that keeps them apart',
  why: 'The column `unit_id` says which branch a row belongs to, and nothing in the database asks it. Whoever is limited to one branch reads and changes the rows of all branches of the tenant here, though not those of another tenant.',
  remedy:
    'Protect the table with `unit_scope => true`. Where the column only refers to a branch and limits nobody, give it another name or accept the finding.',
  applies: 'installed',
  sql: `with ${SURVEYED}
    select t.name as object,
           format('%s has the column unit_id, and the units of a context do not limit it', t.name) as message,
           format('select rowhouse.protect(%L, unit_scope => true);', t.name) as mend
      from tenant_table t join pg_class c on c.oid = t.oid
     where not c.relispartition and c.relrowsecurity
       and exists (select from pg_attribute a where a.attrelid = t.oid and a.attname = 'unit_id' and a.atttypid = 'uuid'::regtype and not a.attisdropped)
       and not exists (select from pg_policy p where p.polrelid = t.oid and p.polname = 'rowhouse_unit')`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, unit_id uuid, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      `create table t (tenant_id uuid not null, id bigint, unit_id uuid, primary key (tenant_id, id)); select rowhouse.protect('t', unit_scope => true); drop policy rowhouse_unit on t`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, unit_id uuid, primary key (tenant_id, id)); select rowhouse.protect('t', unit_scope => true)`,
      `create table t (tenant_id uuid not null, id bigint, unit_id text, primary key (tenant_id, id)); select rowhouse.protect('t')`,
    ],
  },
}
