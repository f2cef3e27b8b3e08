import type { Rule } from '../../rule.ts'
import { SURVEYED } from '../../rule.ts'
import { DESCRIBED } from './describe-installation.ts'
import { INSTALLED_OBJECTS } from './installed-objects.ts'

const EXPECTED = INSTALLED_OBJECTS.map(
  ({ versions, majors, object, fingerprint }) =>
    `(array[${versions.join(', ')}], array[${majors.join(', ')}], '${object.replaceAll("'", "''")}', '${fingerprint}')`,
).join(',\n      ')

export const installationAltered: Rule = {
  id: 'L09',
  name: 'installation-altered',
  severity: 'error',
  title: 'Schema of Rowhouse is not as it was installed',
  why: 'All policies end in the schema `rowhouse`: in the view that checks the seal, the function that refuses, the table of accepted seals. One changed line there opens every table, while the policies stay as they were. Each function, view, table, constraint, index, trigger and grant is compared with what the installer makes, and nothing else may be there.',
  remedy:
    'Find out who changed it and when. Make the object again from the SQL files of the same version of Rowhouse, or restore the schema; then rotate the keys of all tenants, because they may have been read.',
  applies: 'installed',
  sql: `with ${SURVEYED}, ${DESCRIBED},
    known (versions, majors, object, fingerprint) as (values
      ${EXPECTED}),
    here as (select ($1::jsonb->>'installed')::int as version, ($1::jsonb->>'server')::int / 10000 as major),
    -- A server newer than this list is compared with the newest one on it: a text that differs is looked at by a person.
    wanted as (
      select k.object, k.fingerprint from known k, here h
       where h.version = any (k.versions) and least(h.major, (select max(m) from known, unnest(majors) m)) = any (k.majors))
    select coalesce(w.object, d.object) as object,
           case when d.object is null then format('%s is missing', w.object)
                when w.object is null then format('%s is not part of Rowhouse', d.object)
                else format('%s is not as Rowhouse makes it', d.object) end as message,
           null as mend
      from wanted w full join described d on d.object = w.object
     where w.fingerprint is distinct from d.fingerprint and exists (select from wanted)
    union all
    select 'schema rowhouse', format('version %s of the schema rowhouse is none this doctor knows: nothing was compared', h.version), null
      from here h where not exists (select from wanted)`,
  fixtures: {
    fires: [
      'alter function rowhouse.hold() security invoker',
      'alter function rowhouse.current_tenant_id() immutable',
      'create or replace function rowhouse.reject() returns uuid language sql stable parallel safe as $$ select null::uuid $$',
      `do $$ begin
  execute 'create or replace view rowhouse.sealed with (security_barrier = true) as '
    || regexp_replace(pg_get_viewdef('rowhouse.sealed'), 'THEN .{1,200}>.*? ELSE false', 'THEN true ELSE false');
end $$`,
      'drop trigger accept_stamps on rowhouse.resident',
      'alter table rowhouse.resident disable trigger all',
      'grant select on rowhouse.accepted_stamp to rowhouse_app',
      'alter view rowhouse.sealed reset (security_barrier)',
      'create table public.more () inherits (rowhouse.accepted_stamp)',
      'create function rowhouse.helper() returns int return 1',
      'create domain rowhouse.id as uuid',
      'alter default privileges for role rowhouse_owner grant execute on functions to public',
      'insert into rowhouse.migration (version, name, sha256) values (999, $$future$$, $$none$$)',
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      `insert into rowhouse.tenant (id, slug, name) values (gen_random_uuid(), 'acme', 'Acme'); analyze rowhouse.tenant`,
      'create function public.sealed() returns int return 1',
    ],
  },
}
