import type { Action, Family, Target } from './payload.ts'

/** Names under which the library prepares its own statements: what an attacker would replace. */
const LIBRARY_STATEMENTS = ['rowhouse_reset', 'rowhouse_context', 'rowhouse_context_full'] as const

/** A custom setting nobody uses: if the next tenant can read it, the session was handed on as it was. */
export const MARK = 'inject.mark'

/** Seed after which `random()` is known; the probe of the next tenant compares. */
export const SEED = '0.42'

const SETTINGS: Readonly<Record<string, string>> = {
  search_path: 'pg_catalog',
  row_security: 'off',
  statement_timeout: '0',
  lock_timeout: '1h',
  transaction_timeout: '1h',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '1h',
  work_mem: '64kB',
  default_transaction_read_only: 'on',
  default_transaction_isolation: 'serializable',
  DateStyle: 'SQL, DMY',
  TimeZone: 'Asia/Dubai',
  IntervalStyle: 'iso_8601',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  client_min_messages: 'error',
  client_encoding: 'LATIN1',
  standard_conforming_strings: 'off',
  backslash_quote: 'on',
  plan_cache_mode: 'force_generic_plan',
  enable_indexscan: 'off',
  check_function_bodies: 'off',
  application_name: 'somebody else',
  xmloption: 'document',
  array_nulls: 'off',
  transform_null_equals: 'on',
  'rowhouse.seal': 'left behind',
  [MARK]: 'left behind',
}

const settings: Action[] = Object.entries(SETTINGS).flatMap(([name, value]) => [
  expression('session settings', `set_config ${name}`, `set_config('${name}', '${value}', false)`),
  statement('session settings', `SET ${name}`, `set ${name} = '${value}'`),
])

export const SESSION_ACTIONS: readonly Action[] = [
  ...settings,
  expression('session settings', 'read only', `set_config('transaction_read_only', 'on', false)`),
  expression(
    'session settings',
    'update of pg_settings',
    `(select count(set_config(name, reset_val, false)) from pg_settings where name = 'search_path')`,
  ),
  expression(
    'session settings',
    'many at once',
    `(select string_agg(set_config(n, v, false), ',') from (values ('search_path', 'pg_catalog'), ('row_security', 'off'), ('work_mem', '64kB')) as s (n, v))`,
  ),
  expression(
    'session settings',
    'inside query_to_xml',
    `query_to_xml('select set_config(''search_path'', ''pg_catalog'', false)', true, true, '')`,
  ),
  statement(
    'session settings',
    'COPY of a query',
    `copy (select set_config('search_path', 'pg_catalog', false)) to stdout`,
  ),
  statement(
    'session settings',
    'EXPLAIN ANALYZE',
    `explain (analyze) select set_config('search_path', 'pg_catalog', false)`,
  ),
  statement('session settings', 'VALUES', `values (set_config('${MARK}', 'left behind', false))`),
  statement('session settings', 'RESET ALL', `reset all`),
  statement('session settings', 'RESET of one', `reset search_path`),
  statement('session settings', 'DISCARD ALL', `discard all`),
  statement('session settings', 'DISCARD PLANS', `discard plans`),
  statement('session settings', 'DISCARD SEQUENCES', `discard sequences`),
  statement('session settings', 'SESSION CHARACTERISTICS', `set session characteristics as transaction read only`),
  statement('session settings', 'SET of a class named local', `set local.mark = 'left behind'`),
  statement('session settings', 'SET NAMES', `set names 'LATIN1'`),
  statement('session settings', 'SET TIME ZONE', `set time zone 'Asia/Dubai'`),

  ...['postgres', 'rowhouse_owner', 'rowhouse_migrator', 'pg_read_all_data'].flatMap((role): Action[] => [
    expression('role', `set_config role ${role}`, `set_config('role', '${role}', false)`),
    expression('role', `set_config local role ${role}`, `set_config('role', '${role}', true)`),
    expression('role', `session_authorization ${role}`, `set_config('session_authorization', '${role}', false)`),
    statement('role', `SET ROLE ${role}`, `set role ${role}`),
    statement('role', `SET LOCAL ROLE ${role}`, `set local role ${role}`),
    statement('role', `SET SESSION AUTHORIZATION ${role}`, `set session authorization ${role}`),
    statement('role', `GRANT ${role}`, `grant ${role} to current_user`),
  ]),
  statement('role', 'RESET ROLE', `reset role`),
  statement('role', 'RESET SESSION AUTHORIZATION', `reset session authorization`),
  expression('role', 'role none', `set_config('role', 'none', false)`),
  expression('replication role', 'set_config', `set_config('session_replication_role', 'replica', false)`),
  expression('replication role', 'set_config local', `set_config('session_replication_role', 'replica', true)`),
  statement('replication role', 'SET', `set session_replication_role = replica`),

  statement(
    'anonymous blocks',
    'session settings',
    `do $$ begin perform set_config('search_path', 'pg_catalog', false); end $$`,
  ),
  statement('anonymous blocks', 'prepared statements', `do $$ begin execute 'deallocate all'; end $$`),
  statement('anonymous blocks', 'new prepared statement', `do $$ begin execute 'prepare mine as select 1'; end $$`),
  statement('anonymous blocks', 'channel', `do $$ begin execute 'listen gossip'; end $$`),
  statement('anonymous blocks', 'lock', `do $$ begin perform pg_advisory_lock(4242); end $$`),
  statement(
    'anonymous blocks',
    'end of the transaction',
    `do $$ begin commit; perform set_config('${MARK}', 'left behind', false); end $$`,
  ),
  statement('anonymous blocks', 'undone transaction', `do $$ begin rollback; perform count(*) from item; end $$`),
  statement(
    'anonymous blocks',
    'held cursor',
    `do $$ begin execute 'declare kept cursor with hold for select * from item'; end $$`,
  ),
  statement(
    'anonymous blocks',
    'swallowed error',
    `do $$ begin perform set_config('role', 'postgres', false); exception when others then perform set_config('${MARK}', sqlerrm, false); end $$`,
  ),

  ...[
    'commit',
    'end',
    'rollback',
    'abort',
    'begin',
    'start transaction read only',
    'savepoint mine',
    'rollback to savepoint mine',
    'rollback to rowhouse_1',
    'release savepoint rowhouse_1',
    `prepare transaction 'mine'`,
    `commit prepared 'mine'`,
    'rollback and chain',
    'commit and chain',
    'commit and/**/chain',
    'commit and no chain',
    'set transaction read only',
    'set transaction isolation level serializable',
    'set constraints all deferred',
    `commit; set ${MARK} = 'left behind'`,
    `rollback; begin; set ${MARK} = 'left behind'; commit`,
    `commit; set search_path = pg_catalog; begin`,
  ].map((text) => statement('transaction control', text, text)),

  ...LIBRARY_STATEMENTS.flatMap((name): Action[] => [
    statement('prepared statements', `DEALLOCATE ${name}`, `deallocate ${name}`),
    statement('prepared statements', `PREPARE ${name}`, `prepare ${name} as select 1`),
    statement('prepared statements', `replace ${name}`, `deallocate ${name}; prepare ${name} as select 1`),
    statement('prepared statements', `EXECUTE ${name}`, `execute ${name}`),
    statement('prepared statements', `EXPLAIN EXECUTE ${name}`, `explain (analyze) execute ${name}`),
  ]),
  statement('prepared statements', 'DEALLOCATE ALL', `deallocate all`),
  statement('prepared statements', 'PREPARE', `prepare mine as select * from item`),
  statement(
    'prepared statements',
    'PREPARE of many',
    `prepare mine (text) as select set_config('search_path', $1, false)`,
  ),

  statement('held cursors', 'WITH HOLD', `declare kept cursor with hold for select * from item`),
  statement('held cursors', 'scroll WITH HOLD', `declare kept scroll cursor with/**/hold for select * from item`),
  statement('held cursors', 'without hold', `declare kept cursor for select * from item`),
  statement('held cursors', 'CLOSE ALL', `close all`),
  statement('held cursors', 'FETCH', `fetch all from kept`),

  statement('temporary shadows', 'table', `create temp table item (id bigint, label text, data jsonb)`),
  statement('temporary shadows', 'table in pg_temp', `create table pg_temp.item (id bigint, label text, data jsonb)`),
  statement(
    'temporary shadows',
    'table from a query',
    `create temporary table item as select 1 as id, 'shadow' as label, null::jsonb as data`,
  ),
  statement('temporary shadows', 'SELECT INTO', `select 1 as id, 'shadow' as label into temp item`),
  statement('temporary shadows', 'view', `create temp view item as select 1 as id, 'shadow' as label`),
  statement('temporary shadows', 'sequence', `create temp sequence shadow`),
  statement(
    'temporary shadows',
    'function',
    `create function pg_temp.lower(text) returns text language sql as 'select $1'`,
  ),
  statement(
    'temporary shadows',
    'operator',
    `create operator pg_temp.= (function = texteq, leftarg = text, rightarg = text)`,
  ),

  expression('session memory', 'random seed', `setseed(${SEED})`),
  expression('session memory', 'sequence', `nextval('ticket')`),
  expression('session memory', 'sequence set back', `setval('ticket', 1)`),
  expression('session memory', 'last value', `lastval()`),

  expression('advisory locks', 'session lock', `pg_advisory_lock(4242)`),
  expression('advisory locks', 'shared session lock', `pg_advisory_lock_shared(4242)`),
  expression('advisory locks', 'two keys', `pg_try_advisory_lock(42, 42)`),
  expression('advisory locks', 'a hundred', `(select count(pg_try_advisory_lock(n)) from generate_series(1, 100) n)`),
  expression(
    'advisory locks',
    'own lock of the library',
    `(select count(pg_try_advisory_lock((classid::bigint << 32) | objid::bigint)) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())`,
  ),
  expression(
    'advisory locks',
    'every lock that shows',
    `(select count(pg_try_advisory_lock((classid::bigint << 32) | objid::bigint)) from pg_locks where locktype = 'advisory')`,
  ),
  expression('advisory locks', 'release', `pg_advisory_unlock_all()`),
  statement('advisory locks', 'by statement', `select pg_advisory_lock(4243)`),

  statement('channels', 'LISTEN', `listen gossip`),
  statement('channels', 'LISTEN behind a comment', `/* x */ listen gossip`),
  statement('channels', 'NOTIFY', `notify gossip, 'payload'`),
  statement('channels', 'UNLISTEN', `unlisten *`),
  expression('channels', 'pg_notify', `pg_notify('gossip', 'payload')`),

  ...[
    `set search_path = 'pg_catalog'`,
    `set row_security = off`,
    `set statement_timeout = '5min'`,
    `set lock_timeout = '1h'`,
    `set default_transaction_read_only = on`,
    `set default_transaction_isolation = 'serializable'`,
    `set idle_in_transaction_session_timeout = '1h'`,
    `set role = rowhouse_app`,
    `set TimeZone = 'Asia/Dubai'`,
    `set enable_indexscan = off`,
    `reset all`,
  ].map((change) => statement('own role', change, `alter role session_user ${change}`)),
  expression('own role', 'set_config of a granted role', `set_config('role', 'rowhouse_app', false)`),
  statement('own role', 'SET of a granted role', `set role rowhouse_app`),
  statement('own role', 'membership', `create role mine in role postgres`),
  statement('own role', 'superuser', `alter role session_user superuser`),
  statement('own role', 'bypass', `alter role session_user bypassrls`),
  statement(
    'own role',
    'database default',
    `alter role session_user in database postgres set search_path = 'pg_catalog'`,
  ),
  statement('own role', 'server default', `alter system set row_security = off`),
]

export function expression(family: Family, name: string, text: string | ((target: Target) => string)): Action {
  return { family, name, kind: 'expression', sql: typeof text === 'string' ? () => text : text }
}

export function statement(family: Family, name: string, text: string | ((target: Target) => string)): Action {
  return { family, name, kind: 'statement', sql: typeof text === 'string' ? () => text : text }
}
