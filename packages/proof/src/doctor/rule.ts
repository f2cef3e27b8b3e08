import type { Severity } from '../report/finding.ts'
import type { Survey } from './survey.ts'

/**
 * A rule: one question to the catalog, in SQL, and everything a reader of its answer wants to know.
 *
 * Each rule has a file named after it, e.g. `rules/policy/l02-rls-not-forced.ts`, and both fixtures: a rule that was
 * never seen to fire is not a rule.
 */
export interface Rule {
  /** `L01` … Stable; never reused. */
  readonly id: `L${number}`
  /** Kebab-case, stable, e.g. `rls-not-forced`: the name of the page under docs/rules. */
  readonly name: string
  readonly severity: Severity
  /** One line, no full stop: `Table without row-level security`. */
  readonly title: string
  /** Why it matters: what a tenant could do to another, in plain words. Two to five sentences. */
  readonly why: string
  /** What to do where the SQL of the finding is not enough. */
  readonly remedy: string
  /**
   * `any` – an assessment of any PostgreSQL · `installed` – needs the schema of Rowhouse ·
   * `later` – registered, its subject is not built yet, `sql` is empty · `code` – about application code, not about a
   * database: `eslint-plugin-rowhouse` checks it, `sql` is empty.
   */
  readonly applies: 'any' | 'installed' | 'later' | 'code'
  /** Lowest server the question makes sense on, e.g. 170000. @defaultValue 150000 */
  readonly since?: number
  /** Lowest version of the schema `rowhouse` that has what the question is about. @defaultValue 1 */
  readonly sinceSchema?: number
  /**
   * Returns rows `(object text, message text, mend text)`; `mend` may be null. `$1` is the survey as jsonb: start with
   * `with ${SURVEYED}` to have `tenant_table (oid, name, column_name)` and `app_role (oid, name)`. Reads `pg_catalog`
   * only, with every name qualified or safe under `search_path = pg_catalog`, and no query per table: 1,000 tables in seconds.
   */
  readonly sql: string
  /** Schemas on which the rule fires, and on which it must not. Run by an operator on an installed database. */
  readonly fixtures: Fixtures & {
    /** The same on a database that never saw Rowhouse, where a rule asks another question there. */
    readonly elsewhere?: Fixtures
  }
}

/** Scripts, each run in a transaction of its own that is rolled back. */
export interface Fixtures {
  readonly fires: readonly string[]
  readonly quiet: readonly string[]
  /** What `$1` says besides while the scripts of that kind run, where no script can bring it about. */
  readonly survey?: { readonly fires?: ServerFacts; readonly quiet?: ServerFacts }
}

/** Facts about a server that stand in for its own: only restarts, reloads and other servers can make them otherwise. */
export interface ServerFacts {
  /** `server_version_num`. */
  readonly server?: number
  /** Settings by name, in the unit `pg_settings` has them in. */
  readonly settings?: Readonly<Record<string, string>>
  /** Rows of `pg_hba_file_rules`. */
  readonly hba?: readonly Readonly<Record<string, unknown>>[]
  /** Rows of `pg_replication_slots`. */
  readonly slots?: readonly Readonly<Record<string, unknown>>[]
}

/** What `$1` holds, as tables. */
export const SURVEYED = `
surveyed as (select $1::jsonb as s),
tenant_table as (
  select (t->>'oid')::oid as oid, t->>'name' as name, t->>'column' as column_name
    from surveyed, jsonb_array_elements(s->'tenantTables') t),
app_role as (
  select r.oid, r.rolname::text as name
    from surveyed, jsonb_array_elements_text(s->'appRoles') a join pg_roles r on r.rolname = a)`

/** Returns why a rule says nothing about this database, or undefined when it does. */
export function findReasonNotToApply(rule: Rule, survey: Survey): string | undefined {
  if (rule.applies === 'later') return 'its subject is not part of Rowhouse yet'
  if (rule.applies === 'code') return 'checked by eslint-plugin-rowhouse'
  if (rule.applies === 'installed' && survey.installed === undefined)
    return 'Rowhouse is not installed in this database'
  if (survey.installed !== undefined && survey.installed < (rule.sinceSchema ?? 1))
    return `asks about version ${rule.sinceSchema} of the schema rowhouse and later, this is ${survey.installed}: run "rowhouse install"`
  if (survey.server < (rule.since ?? 150_000))
    return `asks about PostgreSQL ${Math.floor((rule.since ?? 0) / 10_000)} and later`
  return undefined
}
