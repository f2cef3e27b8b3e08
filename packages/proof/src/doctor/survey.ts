/**
 * What the doctor learns about a database before any rule runs.
 *
 * Rules get it as `$1`, one JSON document, so that each of them asks the same question about the same objects:
 * a rule never guesses by itself what a tenant table is.
 */

import type { Client } from 'pg'

/** A table whose rows belong to tenants. */
export interface TenantTable {
  readonly oid: number
  /** Schema and name, quoted where SQL wants it. */
  readonly name: string
  /** The column that says whose row it is. */
  readonly column: string
}

export interface Survey {
  /** Version of the installed Rowhouse schema; undefined in a database that never saw Rowhouse. */
  readonly installed: number | undefined
  /** `server_version_num`, e.g. 180004. */
  readonly server: number
  readonly database: string
  /** Where Rowhouse is installed: tables protected or with the column `tenant_id`. Elsewhere: those that look tenant-owned. */
  readonly tenantTables: readonly TenantTable[]
  /** Roles the application logs in as, and every role they are members of. */
  readonly appRoles: readonly string[]
}

/** Names a tenant's column has in schemas Rowhouse did not make, most telling first. */
const TENANT_COLUMNS = [
  'tenant_id',
  'tenantid',
  'organization_id',
  'organisation_id',
  'organizationid',
  'org_id',
  'orgid',
  'account_id',
  'accountid',
  'company_id',
  'companyid',
  'workspace_id',
  'workspaceid',
  'customer_account_id',
  'team_id',
  'teamid',
  'shop_id',
  'store_id',
  'site_id',
  'client_id',
  'broker_id',
] as const

export interface SurveyOptions {
  /** Login roles of the application. @defaultValue `rowhouse_app` and the logins that have its rights where it exists, else every login role that is no superuser */
  readonly appRoles?: readonly string[]
  /** Column that names the tenant, where it is none of the usual ones. */
  readonly tenantColumn?: string
}

/** Reads what the rules need. Changes nothing. */
export async function takeSurvey(client: Client, options: SurveyOptions = {}): Promise<Survey> {
  const { rows } = await client.query<{ survey: Survey }>(SURVEY_SQL, [
    options.tenantColumn === undefined ? TENANT_COLUMNS : [options.tenantColumn],
    options.appRoles ?? null,
  ])
  const survey = rows[0]?.survey as Survey & { installed: number | null }
  return { ...survey, installed: survey.installed === null ? undefined : await installedVersion(client) }
}

async function installedVersion(client: Client): Promise<number> {
  const { rows } = await client.query<{ version: number }>(
    'select coalesce(max(version), 0) as version from rowhouse.migration',
  )
  return rows[0]?.version ?? 0
}

// A table counts as a tenant's where it has the column, by any usual spelling: `tenantId`, `tenant_id`, `"TenantID"`.
// Where Rowhouse is installed only `tenant_id` counts. Partitions and children count by themselves: rows are reachable through them.
const SURVEY_SQL = `
with installed as (select to_regclass('rowhouse.migration') is not null as yes),
candidate as (
  select c.oid, n.nspname, c.relname, a.attname,
         row_number() over (partition by c.oid order by array_position($1::text[], lower(a.attname)), a.attnum) as place
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
   where c.relkind in ('r', 'p') and c.relpersistence <> 't'
     and n.nspname not in ('rowhouse', 'information_schema') and n.nspname !~ '^pg_'
     and lower(a.attname) = any ($1::text[])
     and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
),
named as (
  select r.rolname from pg_catalog.pg_roles r
   where case when $2::text[] is not null then r.rolname = any ($2::text[])
              when exists (select from pg_catalog.pg_roles x where x.rolname = 'rowhouse_app') then r.rolname = 'rowhouse_app'
                or (r.rolcanlogin and not r.rolsuper and pg_catalog.pg_has_role(r.oid, 'rowhouse_app', 'usage'))
              else r.rolcanlogin and not r.rolsuper and r.rolname !~ '^pg_' end
),
app as (
  select distinct r.rolname from named n join pg_catalog.pg_roles r
    on r.rolname = n.rolname or (pg_catalog.pg_has_role(n.rolname, r.oid, 'member') and not (select s.rolsuper from pg_catalog.pg_roles s where s.rolname = n.rolname))
)
select pg_catalog.json_build_object(
  'installed', (select case when yes then 0 end from installed),
  'server', pg_catalog.current_setting('server_version_num')::int,
  'database', pg_catalog.current_database(),
  'tenantTables', coalesce((select pg_catalog.json_agg(pg_catalog.json_build_object('oid', oid::bigint, 'name', pg_catalog.format('%I.%I', nspname, relname), 'column', attname) order by nspname, relname)
                     from candidate where place = 1 and (attname = 'tenant_id' or not (select yes from installed))), '[]'),
  'appRoles', coalesce((select pg_catalog.json_agg(rolname order by rolname) from app), '[]')
) as survey`
