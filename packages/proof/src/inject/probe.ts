import type { Client } from 'pg'
import { MARK, SEED } from './session-actions.ts'

/** What the next tenant finds on the connection: its rows and the state of the session. */
export interface Found {
  /** Process of the connection. */
  readonly pid: number
  readonly rows: string
  /** Settings that are not what RESET would make them. */
  readonly settings: string
  /** What RESET would make of all of them, as a digest. Those of PL/pgSQL appear with its first use. */
  readonly defaults: string
  readonly mark: string
  readonly login: string
  readonly prepared: string
  readonly strangers: number
  readonly cursors: number
  readonly locks: number
  readonly channels: number
  readonly temporary: string
  readonly writing: boolean
  readonly random: string
}

/**
 * The next tenant's statement: reads its own rows and looks around on the connection.
 *
 * Names are those of `pg_catalog` only where PostgreSQL puts that first anyway; a changed search path has to show.
 * Nothing in the text belongs to tenant B, because texts of statements can be read by every session of the login.
 */
export const PROBE = `select json_build_object(
  'pid', pg_backend_pid(),
  'random', random()::text,
  'rows', (select count(*) || ' ' || md5(string_agg(i::text, ',' order by id)) from item i),
  'settings', s.changed,
  'defaults', s.defaults,
  'mark', coalesce(current_setting('${MARK}', true), ''),
  'login', current_user || ' ' || session_user || ' ' || current_setting('role'),
  'prepared', (select coalesce(md5(string_agg(name || statement, ',' order by name)), '') from pg_prepared_statements
                where name in ('rowhouse_reset', 'rowhouse_settle', 'rowhouse_context', 'rowhouse_context_full')),
  'strangers', (select count(*) from pg_prepared_statements where name !~ '^rowhouse_(reset|settle|context|context_full|[A-Za-z0-9_-]{32})$'),
  'cursors', (select count(*) from pg_cursors where name <> ''),
  'locks', public.own_locks(),
  'channels', (select count(*) from pg_listening_channels()),
  'temporary', pg_my_temp_schema()::text,
  'writing', pg_current_xact_id_if_assigned() is not null) as found
  from (select coalesce(string_agg(name || '=' || setting, ',' order by name) filter (where setting is distinct from reset_val), '') as changed,
               md5(string_agg(name || '=' || reset_val, ',') filter (where name !~ '^plpgsql')) as defaults
          from pg_settings) s`

/** First value of \`random()\` after the session was seeded by the payload. */
export async function seededRandom(admin: Client): Promise<string> {
  const { rows } = await admin.query<{ value: string }>(`select setseed(${SEED})::text, random()::text as value`)
  return rows[0]?.value ?? ''
}

/** Returns what differs from the baseline, in words; empty when nothing was handed on. */
export function findDifferences(found: Found, baseline: Found, seeded: string): string[] {
  const differences: string[] = []
  for (const key of Object.keys(baseline) as (keyof Found)[]) {
    if (key === 'random' || key === 'pid') continue
    if (found[key] !== baseline[key]) differences.push(`${key}: found "${found[key]}", wanted "${baseline[key]}"`)
  }
  if (found.random === seeded) differences.push('random(): seeded by the tenant before')
  return differences
}

/** Everything a payload must not change: rows that are not A's, the registry, and the walls themselves. */
export async function digestOfWorld(admin: Client, a: string): Promise<string> {
  const { rows } = await admin.query<{ digest: string }>(`
    select md5(concat_ws('|',
      (select string_agg(t::text, ',' order by t::text) from item t where tenant_id <> '${a}'),
      (select string_agg(t::text, ',' order by t::text) from note t where tenant_id <> '${a}'),
      (select string_agg(t::text, ',' order by t::text) from rowhouse.tenant t),
      (select string_agg(t::text, ',' order by t::text) from rowhouse.resident t),
      (select string_agg(t::text, ',' order by t::text) from rowhouse.accepted_stamp t),
      (select string_agg(t::text, ',' order by t::text) from rowhouse.api_key t),
      (select string_agg(t::text, ',' order by t::text) from rowhouse.crossing t),
      (select string_agg(concat(oid, relname, relowner, relacl, relrowsecurity, relforcerowsecurity), ',' order by oid)
         from pg_class where relnamespace in ('public'::regnamespace, 'rowhouse'::regnamespace)),
      (select string_agg(concat(oid, polname, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)), ',' order by oid) from pg_policy),
      (select string_agg(concat(oid, proacl, prosrc), ',' order by oid) from pg_proc where pronamespace in ('public'::regnamespace, 'rowhouse'::regnamespace)),
      (select string_agg(concat(oid, nspname, nspacl), ',' order by oid) from pg_namespace where nspname !~ '^pg_'),
      (select datacl::text from pg_database where datname = current_database())
    )) as digest`)
  return rows[0]?.digest ?? ''
}
