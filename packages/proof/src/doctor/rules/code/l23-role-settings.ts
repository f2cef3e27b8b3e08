import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED } from '../policy/own-objects.ts'

/** Settings a role or database may have of its own: limits, costs, formats, logging. All others are looked at by a person. */
const ALLOWED = [
  ...[
    'statement_timeout',
    'lock_timeout',
    'idle_in_transaction_session_timeout',
    'idle_session_timeout',
    'transaction_timeout',
  ],
  ...[
    'tcp_keepalives_idle',
    'tcp_keepalives_interval',
    'tcp_keepalives_count',
    'tcp_user_timeout',
    'client_connection_check_interval',
  ],
  ...[
    'TimeZone',
    'DateStyle',
    'IntervalStyle',
    'lc_messages',
    'lc_monetary',
    'lc_numeric',
    'lc_time',
    'client_encoding',
  ],
  ...[
    'default_text_search_config',
    'extra_float_digits',
    'bytea_output',
    'xmloption',
    'application_name',
    'client_min_messages',
  ],
  ...[
    'work_mem',
    'maintenance_work_mem',
    'temp_buffers',
    'temp_file_limit',
    'hash_mem_multiplier',
    'effective_cache_size',
  ],
  ...['effective_io_concurrency', 'jit', 'random_page_cost', 'seq_page_cost', 'cpu_tuple_cost', 'plan_cache_mode'],
  ...[
    'default_statistics_target',
    'max_parallel_workers_per_gather',
    'synchronous_commit',
    'default_transaction_isolation',
  ],
  ...[
    'track_io_timing',
    'password_encryption',
    'session_preload_libraries',
    'log_min_duration_statement',
    'log_statement',
  ],
  ...[
    'log_lock_waits',
    'log_temp_files',
    'log_min_error_statement',
    'log_min_messages',
    'log_duration',
    'row_security',
  ],
]
  .map((name) => `'${name.toLowerCase()}'`)
  .join(', ')

/** First part of settings that belong to programs, not to an application. */
const KNOWN_OWNERS = [
  'auto_explain',
  'pg_stat_statements',
  'pgaudit',
  'plpgsql',
  'pg_hint_plan',
  'cron',
  'pg_trgm',
  'vector',
  'hnsw',
  'ivfflat',
  'postgis',
]
  .map((name) => `'${name}'`)
  .join(', ')

export const roleSettings: Rule = {
  id: 'L23',
  name: 'role-settings',
  severity: 'error',
  title: 'Setting of a role or database that changes what tenants get',
  why: 'A login may change its own defaults, so one injected ALTER ROLE reaches every later connection. A default for `rowhouse.seal` or for a setting that policies read gives everybody the same tenant; `row_security = off` or a read-only default stops the application; a role as default is another login.',
  remedy: 'Reset the setting, and find out who set it. Rowhouse sends the search path it needs with each connection.',
  applies: 'any',
  sql: `with ${SURVEYED},
    setting as (
      select s.setrole, s.setdatabase, split_part(c, '=', 1) as name, lower(split_part(c, '=', 1)) as key, substr(c, strpos(c, '=') + 1) as value,
             r.rolname, d.datname
        from pg_db_role_setting s
        cross join unnest(s.setconfig) c
        left join pg_roles r on r.oid = s.setrole
        left join pg_database d on d.oid = s.setdatabase
       where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
         and (s.setrole = 0 or s.setrole in (select oid from app_role))),
    place as (
      select s.*, concat_ws(' in ', case when s.setrole <> 0 then format('role %I', s.rolname) end, case when s.setdatabase <> 0 then format('database %I', s.datname) end) as place,
             format('alter %s%s reset %s;', case when s.setrole = 0 then case when s.setdatabase = 0 then 'role all' else format('database %I', s.datname) end else format('role %I', s.rolname) end,
                    case when s.setrole <> 0 and s.setdatabase <> 0 then format(' in database %I', s.datname) else '' end,
                    (select string_agg(quote_ident(p.part), '.' order by p.n) from string_to_table(s.name, '.') with ordinality p (part, n))) as mend
        from setting s)
    select coalesce(nullif(p.place, ''), 'role all') as object,
           case when p.key like '%.%' then format('%s begins with %s already set: a policy that reads it takes that for the tenant', coalesce(nullif(p.place, ''), 'everybody'), p.name)
                else format('%s begins with %s = %s', coalesce(nullif(p.place, ''), 'everybody'), p.name, p.value) end as message,
           p.mend
      from place p
     where case when p.key like '%.%' then split_part(p.key, '.', 1) not in (${KNOWN_OWNERS}) and p.value <> ''
                when p.key = 'row_security' then p.value in ('off', 'false', 'no', '0')
                when p.key in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout') then p.value ~ '^0+\\D*$'
                -- The owner of a database decides where names are looked up; a login that decides it for itself is another matter.
                when p.key = 'search_path' then ${INSTALLED} and p.setrole <> 0
                else p.key not in (${ALLOWED}) end`,
  fixtures: {
    fires: [
      `alter role rowhouse_app set search_path = drop_box, public`,
      `alter role rowhouse_app set row_security = off`,
      `alter role rowhouse_app set statement_timeout = 0`,
      `alter role rowhouse_app set default_transaction_read_only = on`,
      `do $$ begin execute format('alter database %I set rowhouse.seal = %L', current_database(), 'x'); end $$`,
      `do $$ begin execute format('alter role rowhouse_app in database %I set session_replication_role = replica', current_database()); end $$`,
    ],
    quiet: [
      `alter role rowhouse_app set statement_timeout = '30s'`,
      `do $$ begin execute format('alter database %I set timezone = %L', current_database(), 'UTC'); end $$`,
      `alter role rowhouse_migrator set search_path = public`,
      `do $$ begin execute format('alter database %I set search_path = app, public', current_database()); end $$`,
    ],
    elsewhere: {
      fires: [`alter role rowhouse_app set app.tenant_id = '1'`],
      quiet: ['alter role rowhouse_app set search_path = app, public'],
    },
  },
}
