/**
 * Ways to tear a hole: one change each to a catalog that was right, as somebody in a hurry would make it.
 *
 * Doctor or verify has to notice every one of them. Statements are run by a superuser, in a transaction that is rolled
 * back or in a copy that is thrown away.
 */

import type { SchemaFacts, TableFacts } from '../seed/schema-facts.ts'
import { quoted } from '../seed/seed-rows.ts'

export interface Mutation {
  /** Kind of hole, e.g. `drop-wall`; the same for every table it is torn into. */
  readonly kind: string
  /** The table, or `roles`, `database`, `rowhouse`, `homes`. What concerns roles concerns the whole server: it is never committed. */
  readonly target: string
  /** What is there before the hole is torn, and nobody minds. */
  readonly setup?: string
  readonly sql: string
}

/** Lists the mutations of a schema. @param app  the application's role */
export function listMutations(facts: SchemaFacts, app: string, server: number): Mutation[] {
  const tables = facts.tables.filter(({ tenantColumn, partition }) => tenantColumn !== undefined && !partition)
  return [
    ...tables.flatMap((table) => [
      ...ofPolicies(table, app),
      ...ofRights(table, app, server),
      ...ofShape(table, facts),
      ...ofSurroundings(table, app),
    ]),
    ...ofRoles(app),
    ...ofDatabase(app),
    ...ofInstallation(app),
    ...ofHomes(app),
  ]
}

function ofPolicies({ name, tenantColumn, columns }: TableFacts, app: string): Mutation[] {
  const tenant = quoted(tenantColumn ?? '')
  const unit = columns.some((column) => column.name === 'unit_id')
  const on = (kind: string, sql: string): Mutation => ({ kind, target: name, sql })
  const seal = `nullif(substr(current_setting('rowhouse.seal', true), 65, 36), '')::uuid`
  return [
    on('disable-rls', `alter table ${name} disable row level security`),
    on('no-force', `alter table ${name} no force row level security`),
    on('drop-tenant-policy', `drop policy rowhouse_tenant on ${name}`),
    on('drop-wall', `drop policy rowhouse_wall on ${name}`),
    on('drop-both-policies', `drop policy rowhouse_tenant on ${name}; drop policy rowhouse_wall on ${name}`),
    on('open-policy', `create policy planted on ${name} using (true)`),
    on('open-policy-for-select', `create policy planted on ${name} for select using (${tenant} is not null)`),
    on('open-policy-for-delete', `create policy planted on ${name} for delete using (true)`),
    on('another-restrictive-policy', `create policy planted on ${name} as restrictive using (true)`),
    on('policy-always-true', `alter policy rowhouse_tenant on ${name} using (true) with check (true)`),
    on('wall-always-true', `alter policy rowhouse_wall on ${name} using (true) with check (true)`),
    on('loose-check', `alter policy rowhouse_tenant on ${name} with check (true)`),
    on('loose-wall-check', `alter policy rowhouse_wall on ${name} with check (true)`),
    on(
      'unsealed-policy',
      `alter policy rowhouse_wall on ${name} using (${tenant} = ${seal}) with check (${tenant} = ${seal})`,
    ),
    on('fail-open-policy', `alter policy rowhouse_wall on ${name} using (${seal} is null or ${tenant} = ${seal})`),
    on('policy-for-one-role', `alter policy rowhouse_wall on ${name} to ${app}`),
    on(
      'empty-instead-of-error',
      `alter policy rowhouse_wall on ${name} using (${tenant} = (select s.id from rowhouse.sealed s)) with check (${tenant} = (select s.id from rowhouse.sealed s))`,
    ),
    ...(unit
      ? [
          on('drop-unit-policy', `drop policy rowhouse_unit on ${name}`),
          on('unit-policy-always-true', `alter policy rowhouse_unit on ${name} using (true)`),
        ]
      : []),
  ]
}

function ofRights({ name, tenantColumn }: TableFacts, app: string, server: number): Mutation[] {
  const on = (kind: string, sql: string): Mutation => ({ kind, target: name, sql })
  return [
    on('grant-truncate', `grant truncate on ${name} to ${app}`),
    on('grant-references', `grant references on ${name} to ${app}`),
    on('grant-trigger', `grant trigger on ${name} to ${app}`),
    on('grant-all', `grant all on ${name} to ${app}`),
    on('grant-to-public', `grant select on ${name} to public`),
    on('grant-tenant-column', `grant update (${quoted(tenantColumn ?? '')}) on ${name} to ${app}`),
    on('grant-option', `grant select on ${name} to ${app} with grant option`),
    on(
      'owned-by-the-application',
      `grant create on schema ${schemaOf(name)} to ${app}; alter table ${name} owner to ${app}`,
    ),
    ...(server >= 170_000 ? [on('grant-maintain', `grant maintain on ${name} to ${app}`)] : []),
  ]
}

function ofShape(table: TableFacts, facts: SchemaFacts): Mutation[] {
  const { name, tenantColumn, keys, foreignKeys } = table
  const tenant = quoted(tenantColumn ?? '')
  const on = (kind: string, sql: string): Mutation => ({ kind, target: name, sql })
  const key = keys.find(({ columns }) => columns.some((column) => column !== tenantColumn))
  const ids = (key?.columns ?? [])
    .filter((column) => column !== tenantColumn)
    .map(quoted)
    .join(', ')
  const reference = foreignKeys.find(({ references }) =>
    facts.tables.some(({ name: parent, tenantColumn: column }) => parent === references && column !== undefined),
  )
  const from = reference?.columns
    .filter((column) => column !== tenantColumn)
    .map(quoted)
    .join(', ')
  const to = reference?.referenced
    .filter((column) => column !== tenantColumn)
    .map(quoted)
    .join(', ')
  return [
    on('tenant-default-gone', `alter table ${name} alter column ${tenant} drop default`),
    on(
      'tenant-default-constant',
      `alter table ${name} alter column ${tenant} set default '00000000-0000-4000-8000-000000000001'`,
    ),
    ...(ids === ''
      ? []
      : [
          on('global-unique-index', `create unique index planted on ${name} (${ids}) where false`),
          on(
            'global-unique-key',
            `set local session_replication_role = replica; delete from ${name}; set local session_replication_role = origin; alter table ${name} add constraint planted unique (${ids})`,
          ),
          on(
            'global-exclusion',
            `set local session_replication_role = replica; delete from ${name}; set local session_replication_role = origin; alter table ${name} add constraint planted exclude (${ids.split(', ')[0]} with =) where (false)`,
          ),
        ]),
    ...(reference === undefined || !from || !to || from.split(', ').length !== to.split(', ').length
      ? []
      : [
          on(
            'global-foreign-key',
            `set local session_replication_role = replica; delete from ${name}; delete from ${reference.references}; create unique index on ${reference.references} (${to}); alter table ${name} add constraint planted foreign key (${from}) references ${reference.references} (${to})`,
          ),
          on(
            'foreign-key-not-valid',
            `alter table ${name} drop constraint ${quoted(reference.name)}, add constraint ${quoted(reference.name)} foreign key (${reference.columns.map(quoted).join(', ')}) references ${reference.references} (${reference.referenced.map(quoted).join(', ')}) not valid`,
          ),
        ]),
  ]
}

function ofSurroundings({ name, tenantColumn }: TableFacts, app: string): Mutation[] {
  const on = (kind: string, sql: string): Mutation => ({ kind, target: name, sql })
  const schema = schemaOf(name)
  return [
    on(
      'definer-view',
      `create view ${schema}.planted as select * from ${name}; grant select on ${schema}.planted to ${app}`,
    ),
    on(
      'definer-view-below-a-view',
      `create view ${schema}.planted_inner as select * from ${name}; create view ${schema}.planted as select * from ${schema}.planted_inner; grant select on ${schema}.planted to ${app}`,
    ),
    on(
      'writable-definer-view',
      `create view ${schema}.planted as select * from ${name}; grant delete on ${schema}.planted to ${app}`,
    ),
    on(
      'readable-materialized-view',
      `create materialized view ${schema}.planted as select * from ${name}; grant select on ${schema}.planted to ${app}`,
    ),
    on(
      'definer-function',
      `create function ${schema}.planted() returns bigint language sql stable security definer set search_path = pg_catalog, pg_temp as $$ select count(*) from ${name} $$; grant execute on function ${schema}.planted() to ${app}`,
    ),
    on(
      'copied-table',
      `create table ${schema}.planted as select * from ${name}; grant select on ${schema}.planted to ${app}`,
    ),
    on(
      'open-child',
      `create table ${schema}.planted () inherits (${name}); grant select on ${schema}.planted to ${app}`,
    ),
    on('rule', `create rule planted as on delete to ${name} do instead nothing`),
    on('published', `create publication planted for table ${name}`),
    on(
      'published-with-truncate',
      `create publication planted for table ${name} where (${quoted(tenantColumn ?? '')} is not null) with (publish = 'insert, truncate')`,
    ),
  ]
}

function ofRoles(app: string): Mutation[] {
  const on = (kind: string, sql: string): Mutation => ({ kind, target: 'roles', sql })
  return [
    ...['superuser', 'bypassrls', 'createrole', 'replication'].map((attribute) =>
      on(`role-${attribute}`, `alter role ${app} ${attribute}`),
    ),
    ...[
      'rowhouse_owner',
      'rowhouse_migrator',
      'pg_read_all_data',
      'pg_write_all_data',
      'pg_execute_server_program',
      'pg_read_server_files',
      'pg_write_server_files',
      'pg_signal_backend',
      'pg_monitor',
    ].map((role) => on(`member-of-${role}`, `grant ${role} to ${app}`)),
    on('owner-logs-in', 'alter role rowhouse_owner login'),
    on('owner-bypasses', 'alter role rowhouse_owner bypassrls'),
    on('owner-superuser', 'alter role rowhouse_owner superuser'),
    ...[
      'row_security = off',
      "search_path = 'pg_temp, public'",
      'statement_timeout = 0',
      'default_transaction_read_only = on',
      'session_replication_role = replica',
    ].map((setting) => on(`role-setting ${setting.split(' ')[0]}`, `alter role ${app} set ${setting}`)),
    on('parameter-right', `grant set on parameter session_replication_role to ${app}`),
    on('role-default-context', `alter role ${app} set rowhouse.seal = 'x'`),
    on(
      'role-setting-in-database',
      `do $$ begin execute format('alter role ${app} in database %I set row_security = off', current_database()); end $$`,
    ),
  ]
}

function ofDatabase(app: string): Mutation[] {
  const on = (kind: string, sql: string): Mutation => ({ kind, target: 'database', sql })
  const database = (kind: string, sql: string) =>
    on(kind, `do $$ begin execute format('${sql.replaceAll("'", "''")}', current_database()); end $$`)
  return [
    database('temp-for-public', 'grant temporary on database %I to public'),
    database('temp-for-the-application', `grant temporary on database %I to ${app}`),
    database('create-for-the-application', `grant create on database %I to ${app}`),
    database('database-default-context', `alter database %I set rowhouse.seal = 'x'`),
    database('database-row-security-off', 'alter database %I set row_security = off'),
    on('create-in-public', 'grant create on schema public to public'),
    on('create-in-public-for-the-application', `grant create on schema public to ${app}`),
    on('schema-owned-by-the-application', `create schema planted authorization ${app}`),
    on('default-rights-on-tables', `alter default privileges grant select on tables to ${app}`),
    on(
      'default-rights-of-the-owner',
      `alter default privileges for role rowhouse_owner in schema public grant all on tables to ${app}`,
    ),
    on(
      'default-rights-on-tables-for-public',
      'alter default privileges for role rowhouse_owner grant select on tables to public',
    ),
    on('functions-for-public', 'alter default privileges for role rowhouse_owner grant execute on functions to public'),
    on('large-objects', 'grant execute on function pg_catalog.lo_create(oid) to public'),
    on('terminate-backends', 'grant execute on function pg_catalog.pg_terminate_backend(int, bigint) to public'),
    on('read-files', `grant execute on function pg_catalog.pg_read_file(text) to ${app}`),
    on(
      'leakproof-function',
      'create function public.planted(text) returns boolean language sql immutable leakproof as $$ select true $$',
    ),
    on(
      'leakproof-operator',
      'create function public.planted(text, text) returns boolean language sql immutable leakproof as $$ select true $$; create operator public.=== (leftarg = text, rightarg = text, function = public.planted)',
    ),
    on(
      'definer-without-search-path',
      'create function public.planted() returns int language sql security definer as $$ select 1 $$',
    ),
    on(
      'definer-with-hijackable-path',
      'create function public.planted() returns int language sql security definer set search_path = public as $$ select 1 $$',
    ),
    on(
      'definer-for-public',
      'create function public.planted() returns int language sql security definer set search_path = pg_catalog, pg_temp as $$ select 1 $$; grant execute on function public.planted() to public',
    ),
    on(
      'foreign-server',
      `create foreign data wrapper planted; create server planted foreign data wrapper planted; grant usage on foreign server planted to ${app}`,
    ),
    on(
      'foreign-table',
      `create foreign data wrapper planted; create server planted foreign data wrapper planted; create foreign table public.planted (tenant_id uuid) server planted; grant select on public.planted to ${app}`,
    ),
    on('publication-of-everything', 'create publication planted for all tables'),
    on('untrusted-language', 'create language planted handler pg_catalog.plpgsql_call_handler'),
    on(
      'new-tenant-table',
      `create table public.planted (tenant_id uuid, id int); grant select on public.planted to ${app}`,
    ),
    on('new-tenant-table-without-a-key', 'create table public.planted (tenant_id uuid not null, id int)'),
  ]
}

const HOME = 't_planted_000000000001'

/** Holes in the schema of a tenant, which is made first, whole. */
function ofHomes(app: string): Mutation[] {
  const setup = `create schema ${HOME} authorization rowhouse_owner;
    insert into rowhouse.resident (tenant_id, key_version, ipad, opad, home)
      select '00000000-0000-4000-8000-000000000001', 1, ipad, opad, '${HOME}' from rowhouse.resident limit 1;
    create table ${HOME}.planted (tenant_id uuid not null, id int not null, primary key (tenant_id, id));
    alter table ${HOME}.planted owner to rowhouse_owner;
    select rowhouse.protect('${HOME}.planted');
    insert into rowhouse.tenant (id, slug, name) values ('00000000-0000-4000-8000-000000000001', 'planted', 'Planted');
    insert into rowhouse.placement (tenant_id, model, schema_name, key_version) values ('00000000-0000-4000-8000-000000000001', 'schema', '${HOME}', 1)`
  const on = (kind: string, sql: string): Mutation => ({ kind, target: 'homes', setup, sql })
  const condition = (schema: string) =>
    `do $$ declare c text := rowhouse.tenant_condition('${schema}'); begin
       execute format('alter policy rowhouse_tenant on ${HOME}.planted using (%s) with check (%1$s)', c);
       execute format('alter policy rowhouse_wall on ${HOME}.planted using (%s) with check (%1$s)', c); end $$`
  return [
    on('home-of-another', condition('t_another_000000000002')),
    on('home-table-for-shared-tenants', condition('public')),
    on('home-table-without-rls', `alter table ${HOME}.planted disable row level security`),
    on('home-table-new', `create table ${HOME}.more (tenant_id uuid, id int); grant select on ${HOME}.more to ${app}`),
    on('home-table-without-tenant', `create table ${HOME}.more (id int); grant select on ${HOME}.more to ${app}`),
    on('home-for-public', `grant usage on schema ${HOME} to public`),
    on('home-for-creation', `grant create on schema ${HOME} to ${app}`),
    on('home-owned-by-the-application', `alter schema ${HOME} owner to ${app}`),
    on(
      'home-with-definer-view',
      `create view ${HOME}.more as select * from ${HOME}.planted; grant select on ${HOME}.more to ${app}`,
    ),
    on(
      'home-with-rows-of-another',
      `insert into ${HOME}.planted select tenant_id, 1 from rowhouse.resident where home is null limit 1`,
    ),
    on('home-without-its-tenant', `delete from rowhouse.resident where home = '${HOME}'`),
    on('home-gone', `drop schema ${HOME} cascade`),
    on('home-hides-a-function', `create function ${HOME}.lower(varchar) returns text return 'x'`),
    on(
      'home-that-the-registry-does-not-know',
      `update rowhouse.placement set schema_name = 't_another_000000000002' where schema_name = '${HOME}'`,
    ),
    on('stale-epoch', `update rowhouse.resident set epoch = epoch + 1 where home = '${HOME}'`),
    on(
      'placed-elsewhere-and-active',
      `update rowhouse.placement set model = 'database', schema_name = null, database_name = '${HOME}' where schema_name = '${HOME}'`,
    ),
  ]
}

/** Lines of the installation itself: what makes the seal a seal. */
function ofInstallation(app: string): Mutation[] {
  const on = (kind: string, sql: string): Mutation => ({ kind, target: 'rowhouse', sql })
  const view = (kind: string, conditions: string, barrier = true) =>
    on(
      kind,
      `create or replace view rowhouse.sealed ${barrier ? 'with (security_barrier = true)' : 'with (security_barrier = false)'} as select a.tenant_id as id, null::uuid[] as units, null::text as actor, a.home from rowhouse.accepted_stamp a where ${conditions}`,
    )
  const stamp = `a.stamp = substr(current_setting('rowhouse.seal', true), 65, 51)`
  return [
    view('seal-without-mac', stamp),
    view('seal-by-tenant-only', `a.tenant_id::text = substr(current_setting('rowhouse.seal', true), 65, 36)`),
    on('seal-without-barrier', 'alter view rowhouse.sealed set (security_barrier = false)'),
    on('seal-as-invoker', 'alter view rowhouse.sealed set (security_invoker = true)'),
    on('seal-owned-by-another', 'alter view rowhouse.sealed owner to current_user'),
    on(
      'reject-answers',
      `create or replace function rowhouse.reject() returns uuid language sql stable parallel safe as $$ select null::uuid $$`,
    ),
    on('reject-immutable', 'alter function rowhouse.reject() immutable'),
    on('reject-volatile', 'alter function rowhouse.reject() volatile'),
    on('reject-parallel-unsafe', 'alter function rowhouse.reject() parallel unsafe'),
    on(
      'platform-for-everybody',
      'create or replace function rowhouse.is_platform() returns boolean language sql stable parallel safe return true',
    ),
    on(
      'platform-not-required',
      `create or replace function rowhouse.require_platform() returns void language plpgsql stable set search_path = pg_catalog, pg_temp as $$ begin end $$`,
    ),
    on('hold-as-invoker', 'alter function rowhouse.hold() security invoker'),
    on('find-tenant-without-path', 'alter function rowhouse.find_tenant(text, text, text) reset search_path'),
    on('find-tenant-owner', 'alter function rowhouse.find_tenant(text, text, text) owner to current_user'),
    on('reject-for-public', 'grant execute on function rowhouse.reject() to public'),
    on('protect-for-the-application', `grant execute on function rowhouse.protect(regclass, boolean) to ${app}`),
    on('stamps-not-derived', 'drop trigger accept_stamps on rowhouse.resident'),
    on('stamps-trigger-off', 'alter table rowhouse.resident disable trigger accept_stamps'),
    on('resident-readable', `grant select on rowhouse.resident to ${app}`),
    on('resident-column-readable', `grant select (ipad) on rowhouse.resident to ${app}`),
    on('stamps-readable', `grant select on rowhouse.accepted_stamp to ${app}`),
    on('stamps-writable', `grant insert on rowhouse.accepted_stamp to ${app}`),
    on('tenants-readable', `grant select on rowhouse.tenant to ${app}`),
    on('api-keys-readable', `grant select on rowhouse.api_key to ${app}`),
    on('crossings-writable', `grant update on rowhouse.crossing to ${app}`),
    on(
      'resident-owned-by-the-application',
      `grant create on schema rowhouse to ${app}; alter table rowhouse.resident owner to ${app}`,
    ),
    on('schema-for-the-application', `grant create on schema rowhouse to ${app}`),
    on('schema-for-public', 'grant usage on schema rowhouse to public'),
    on('extra-function', 'create function rowhouse.planted() returns int language sql as $$ select 1 $$'),
    on('extra-table', 'create table rowhouse.planted (id int)'),
    on('extra-policy', 'alter table rowhouse.resident enable row level security'),
    on('key-check-gone', 'alter table rowhouse.tenant drop constraint tenant_slug_key'),
    on('foreign-key-gone', 'alter table rowhouse.accepted_stamp drop constraint accepted_stamp_tenant_id_fkey'),
    on(
      'seal-of-any-home',
      `do $$ begin execute 'create or replace view rowhouse.sealed with (security_barrier = true) as '
        || regexp_replace(pg_get_viewdef('rowhouse.sealed'), '(a\\.)?home(\\s+FROM)', 'null::text as home\\2'); end $$`,
    ),
    on(
      'every-schema-a-home',
      'create or replace function rowhouse.is_home(schema_name text) returns boolean language sql immutable parallel safe return true',
    ),
    on('placements-readable', `grant select on rowhouse.placement to ${app}`),
    on('servers-readable', `grant select on rowhouse.server to ${app}`),
    on('lifecycle-unchecked', 'drop trigger check_lifecycle on rowhouse.tenant'),
    on(
      'condition-changed',
      `create or replace function rowhouse.tenant_condition(schema_name text) returns text language sql immutable return 'true'`,
    ),
    on(
      'current-tenant-changed',
      `create or replace function rowhouse.current_tenant_id() returns uuid language sql stable parallel safe return '00000000-0000-4000-8000-000000000001'::uuid`,
    ),
    on(
      'actor-unverified',
      `create or replace function rowhouse.current_actor() returns text language sql stable parallel safe return current_setting('rowhouse.actor', true)`,
    ),
  ]
}

function schemaOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.'))
}
