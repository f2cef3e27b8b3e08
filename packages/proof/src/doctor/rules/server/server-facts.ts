/**
 * What rules ask a server for. Where the survey says otherwise (fixtures do), that is taken: neither pg_hba.conf nor most
 * settings can be changed inside a transaction.
 *
 * Each piece follows `with ${SURVEYED},`.
 */

/** `server_setting (name, value)`: what a new session gets, unless its role or database has a value of its own. */
export const SERVER_SETTING = `
server_setting as (
  select p.name, coalesce(v.s->'settings'->>p.name, p.reset_val) as value from surveyed v, pg_settings p)`

/** `role_setting (oid, role, name, value)`: what each login of the application gets for the settings named. */
export function roleSetting(names: readonly string[]): string {
  return `${SERVER_SETTING},
role_setting as (
  select a.oid, a.name as role, g.name, coalesce(own.value, g.value) as value
    from app_role a
    join pg_roles r on r.oid = a.oid and r.rolcanlogin
    join server_setting g on g.name in (${names.map((name) => `'${name}'`).join(', ')})
    left join lateral (
      select substr(c, strpos(c, '=') + 1) as value
        from pg_db_role_setting d, unnest(d.setconfig) c
       where d.setrole in (0, a.oid) and d.setdatabase in (0, (select oid from pg_database where datname = current_database()))
         and lower(split_part(c, '=', 1)) = lower(g.name)
       order by d.setrole <> 0 desc, d.setdatabase <> 0 desc limit 1) own on true)`
}

/** `hba (…)`: the lines of pg_hba.conf that let anybody into this database, or into replication. Superusers may ask. */
export const HBA = `
hba as (
  select h->>'type' as type, h->>'address' as address, h->>'netmask' as netmask, h->>'auth_method' as method,
         format('line %s of %s', h->>'line_number', coalesce(regexp_replace(h->>'file_name', '.*/', ''), 'pg_hba.conf')) as place,
         (select string_agg(u, ', ' order by u) from jsonb_array_elements_text(h->'user_name') u) as users
    from surveyed v,
         jsonb_array_elements(coalesce(v.s->'hba', (select jsonb_agg(to_jsonb(f)) from pg_hba_file_rules f))) h
   where h->>'error' is null
     and exists (select from jsonb_array_elements_text(h->'database') d
                  where d in ('all', 'replication', 'sameuser', 'samerole', 'samegroup', current_database()) or d ~ '^[/+]'))`

/** `slot (name, type, database)`: replication slots of the whole server. */
export const SLOT = `
slot as (
  select r->>'slot_name' as name, r->>'slot_type' as type, r->>'database' as database
    from surveyed v, jsonb_array_elements(coalesce(v.s->'slots', (select jsonb_agg(to_jsonb(p)) from pg_replication_slots p))) r)`

/** A line of pg_hba.conf, as `pg_hba_file_rules` shows it: for fixtures. */
export function hbaLine(type: string, address: string | null, netmask: string | null, method: string) {
  const file = { rule_number: 1, file_name: '/etc/postgresql/pg_hba.conf', line_number: 7 }
  return {
    ...file,
    type,
    database: ['all'],
    user_name: ['all'],
    address,
    netmask,
    auth_method: method,
    options: null,
    error: null,
  }
}
