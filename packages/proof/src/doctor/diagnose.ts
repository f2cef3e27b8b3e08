import pg from 'pg'
import { ConfigError, isRowhouseError, MigrationError, StatementError, UnavailableError } from 'rowhouse'
import {
  type Purpose,
  requireOperatorUrl,
  toConnectError,
  toLostError,
  toOperatorError,
} from '../operator/operator-error.ts'
import type { Finding } from '../report/finding.ts'
import { applyBaseline, type Baseline, type BaselineEntry } from './baseline.ts'
import { type Examination, examine } from './examine.ts'
import type { Rule } from './rule.ts'
import { ALL_RULES } from './rules.ts'
import { type Survey, type SurveyOptions, takeSurvey } from './survey.ts'

export interface DiagnoseOptions extends SurveyOptions {
  /** URL of an operator's login. A superuser is asked by all rules; what another login may not see is reported as failed. */
  readonly url: string | undefined
  /** Ids of the rules to ask, e.g. `['L01', 'L26']`. @defaultValue all */
  readonly rules?: readonly string[]
  /** Findings that somebody has accepted, with a reason and for a time. */
  readonly baseline?: Baseline
  /** The day that decides whether an entry of the baseline has expired. @defaultValue today */
  readonly now?: Date
  /** Ends the examination: the connection is closed and the call rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

export interface Diagnosis {
  readonly database: string
  /** `server_version_num`, e.g. 180004. */
  readonly server: number
  /** Version of the schema of Rowhouse; undefined where it is not installed. */
  readonly installed: number | undefined
  readonly tenantTables: number
  readonly appRoles: readonly string[]
  /** By rule, then object, then message: the same database gives the same list. */
  readonly findings: readonly Finding[]
  /** Findings the baseline accepts. */
  readonly accepted: readonly Finding[]
  /** Entries of the baseline that accept nothing any more, because their time is over. */
  readonly expired: readonly BaselineEntry[]
  /** Entries of the baseline that match no finding: take them out. */
  readonly stale: readonly BaselineEntry[]
  readonly skipped: Examination['skipped']
  /** Rules that could not ask, with what would help. */
  readonly failed: Examination['failed']
  /** True when every rule that applies has answered and none found an error that is not accepted. */
  readonly clean: boolean
  readonly elapsedMs: number
}

const CONNECT_TIMEOUT_MS = 10_000
/** A question takes milliseconds; one that takes a minute waits for something, and a rule that failed is said. */
const STATEMENT_TIMEOUT = '60s'
/** Catalog reads wait only for somebody who changes the table; the doctor is in nobody's way. */
const LOCK_TIMEOUT = '2s'
const OLDEST_SERVER = 150_000

/**
 * Examines a database: what is there, and what each rule says about it.
 *
 * Opens one connection and one read-only transaction with one snapshot, and changes nothing. Where a rule may not ask,
 * the others go on, and `failed` says so.
 *
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED` without a URL; `ERR_CONFIG_INVALID` when it is none, the login is refused,
 *   or a rule or role is not known
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE` when the server is not reached or the connection is lost;
 *   `ERR_TIMEOUT` when the survey waits for a lock. Safe to retry
 * @throws {MigrationError} `ERR_SERVER_UNSUPPORTED` before PostgreSQL 15; `ERR_PRIVILEGE_MISSING` when the login may not
 *   look into the schema of Rowhouse
 * @throws {StatementError} `ERR_STATEMENT_CANCELLED` when somebody cancels the survey
 * @example
 * ```ts
 * import { diagnose } from 'rowhouse-proof'
 * const { findings, clean } = await diagnose({ url: process.env.ROWHOUSE_ADMIN_URL })
 * for (const { rule, object, message } of findings) console.log(rule, object, message)
 * process.exitCode = clean ? 0 : 1
 * ```
 */
export async function diagnose(options: DiagnoseOptions): Promise<Diagnosis> {
  const started = performance.now()
  const rules = chooseRules(options.rules)
  options.signal?.throwIfAborted()
  const { survey, examination } = await withDoctor(options, async (client) => {
    await assertServer(client)
    if (options.appRoles !== undefined) await assertRoles(client, options.appRoles)
    const survey = await takeSurvey(client, options)
    return { survey, examination: await examine(client, survey, rules) }
  })
  return report(survey, examination, options, started)
}

function report(survey: Survey, examination: Examination, options: DiagnoseOptions, started: number): Diagnosis {
  const { findings, ...judged } = applyBaseline(
    [...examination.findings].sort(byRuleAndObject),
    options.baseline,
    options.now ?? new Date(),
    rulesAsked(examination, options.rules),
  )
  const failed = examination.failed.map(({ rule, error }) => ({ rule, error: withAdvice(error) }))
  const { database, server, installed, appRoles } = survey
  return {
    ...{ database, server, installed, appRoles, tenantTables: survey.tenantTables.length },
    ...{ findings, ...judged, skipped: examination.skipped, failed },
    clean: failed.length === 0 && findings.every(({ severity }) => severity !== 'error'),
    elapsedMs: performance.now() - started,
  }
}

/** Only these can say that an entry of the baseline matches nothing. */
function rulesAsked(examination: Examination, chosen: readonly string[] | undefined): ReadonlySet<string> {
  const silent = new Set([...examination.failed, ...examination.skipped].map(({ rule }) => rule))
  return new Set(ALL_RULES.map(({ id }) => id).filter((id) => !silent.has(id) && (chosen?.includes(id) ?? true)))
}

function byRuleAndObject(a: Finding, b: Finding): number {
  return (
    Number(a.rule.slice(1)) - Number(b.rule.slice(1)) ||
    compare(a.object, b.object) ||
    compare(a.message, b.message) ||
    compare(a.mend ?? '', b.mend ?? '')
  )
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function chooseRules(ids: readonly string[] | undefined): readonly Rule[] {
  if (ids === undefined) return ALL_RULES
  const unknown = ids.filter((id) => ALL_RULES.every((rule) => rule.id !== id))
  if (unknown.length > 0 || ids.length === 0) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot ask ${unknown.length > 0 ? `rule ${quoteAll(unknown)}: there is none of that id` : 'no rule at all: the list is empty'}; wanted ids like "L01"`,
    )
  }
  return ALL_RULES.filter(({ id }) => ids.includes(id))
}

function quoteAll(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ')
}

async function withDoctor<T>(options: DiagnoseOptions, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: requireOperatorUrl(options.url, EXAMINATION),
    application_name: 'rowhouse-doctor',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    options: '-c search_path=pg_catalog -c default_transaction_read_only=on',
  })
  // The statement in flight reports a lost connection; the event alone would end the process.
  let lost = false
  client.on('error', () => {
    lost = true
  })
  client.on('end', () => {
    lost = true
  })
  const abort = () => client.connection.stream.destroy()
  options.signal?.addEventListener('abort', abort, { once: true })
  try {
    await client.connect().catch((error: Error) => {
      throw toConnectError(error, EXAMINATION)
    })
    await begin(client)
    const result = await fn(client)
    if (lost) throw new Error('the connection was closed')
    return result
  } catch (error) {
    options.signal?.throwIfAborted()
    throw toDoctorError(error, lost)
  } finally {
    options.signal?.removeEventListener('abort', abort)
    await client.end().catch(() => {})
  }
}

/** The limits are set here and not at login, where they would hide from rule L41 what the server gives other sessions. */
async function begin(client: pg.Client): Promise<void> {
  await client.query('begin transaction isolation level repeatable read, read only')
  await client.query(`set local statement_timeout = '${STATEMENT_TIMEOUT}'`)
  await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
}

async function assertServer(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ version: string }>(`select current_setting('server_version_num') as version`)
  const version = Number(rows[0]?.version ?? 0)
  if (version >= OLDEST_SERVER) return
  throw new MigrationError(
    'ERR_SERVER_UNSUPPORTED',
    `Cannot examine PostgreSQL ${Math.floor(version / 10_000)}.${version % 10_000}: wanted 15 or later; update the server first`,
  )
}

/** A role that is misspelt would be examined as one without rights. */
async function assertRoles(client: pg.Client, names: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ rolname: string }>('select rolname from pg_roles where rolname = any ($1)', [
    names,
  ])
  const unknown = names.filter((name) => rows.every(({ rolname }) => rolname !== name))
  if (unknown.length === 0) return
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot examine what role ${quoteAll(unknown)} may do: there is no such role on this server; correct appRoles`,
  )
}

const EXAMINATION: Purpose = {
  task: 'examine a database',
  login: 'examine the database',
  goOn: 'with the examination',
  work: 'examine the database',
  wanted: 'a superuser, or the login that installed Rowhouse',
}

const LOCK_NOT_AVAILABLE = '55P03'
const CANCELLED = '57014'

function toDoctorError(error: unknown, lost: boolean): unknown {
  if (isRowhouseError(error) || !(error instanceof Error)) return error
  // What a statement said of a connection that is gone may be anything.
  if (lost) return toLostError(error, EXAMINATION)
  const { code } = error as { code?: unknown }
  if (code === LOCK_NOT_AVAILABLE) {
    return new UnavailableError(
      'ERR_TIMEOUT',
      `Cannot examine the database now: ${error.message}; somebody changes its tables, try again when that is done`,
      { cause: error },
    )
  }
  if (code === CANCELLED) {
    return new StatementError(
      'ERR_STATEMENT_CANCELLED',
      `Cannot finish the examination: ${error.message}; run it again`,
      { cause: error, sqlState: code },
    )
  }
  return toOperatorError(error, EXAMINATION)
}

/** Says what would help a rule that could not ask. */
function withAdvice(error: string): string {
  if (/^permission denied/.test(error)) return `${error}; ask as a superuser, or as a role that was granted the right`
  if (/rowhouse: (?:no )?tenant context/.test(error)) {
    return 'this login is bound by row-level security, so it cannot look for rows of all tenants; ask as a superuser or with BYPASSRLS'
  }
  if (/lock timeout|statement timeout/.test(error)) return `${error}; try again when nobody changes the tables`
  return error
}
