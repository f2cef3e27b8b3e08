import pg from 'pg'
import { ConfigError, createRowhouse, IsolationError, type Rowhouse, TenantContextError } from 'rowhouse'
import { connect } from '../clone/scratch-database.ts'
import { type Survey, takeSurvey } from '../doctor/survey.ts'
import { isConnectionLost, type Purpose, toConnectError, toOperatorError } from '../operator/operator-error.ts'
import { quoted } from '../seed/quoted.ts'
import { describe, sqlstateOf } from './attack.ts'

export interface VerifyLiveOptions {
  /** Login that sees the rows of all tenants: only it can tell that there was something to leak. */
  readonly adminUrl: string
  /** The application's own login and root key. */
  readonly appUrl: string
  readonly rootKey: string | undefined
  /** How many pairs of tenants. @defaultValue 3 */
  readonly pairs?: number
}

export interface LiveCell {
  readonly table: string
  readonly attacker: string
  readonly victim: string
  readonly verdict: 'refused' | 'leaked' | 'not-applicable'
  readonly how: string
}

export interface LiveReport {
  readonly cells: readonly LiveCell[]
  readonly leaked: number
  readonly refused: number
  readonly notApplicable: number
  /** True when nothing leaked, and a tenant was refused rows of another that are there. */
  readonly isolated: boolean
}

/** Each question reads at most one row of a table; one that takes longer is given up. */
const TIMEOUT_MS = 5_000

const LIVE: Purpose = {
  task: 'verify on live data',
  login: 'the database',
  goOn: 'with the live data',
  work: 'verify on live data',
  wanted: 'a superuser',
}

/**
 * Tries on live data what is safe there: reads another tenant's rows as a tenant, and everybody's without one.
 *
 * Read-only transactions, at most one row each, a time limit of five seconds. A table counts only where the operator's
 * login sees a row of the victim, so that "nothing was seen" means something; an error counts only where a wall raised
 * it. For everything else there is `verify`.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when there are fewer than two active tenants, no root key, or a login is
 *   refused; `ERR_NOT_INSTALLED` where there is no Rowhouse; `ERR_ADMIN_REQUIRED` without the operator's URL
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING` when the operator's login may not look into the schema of Rowhouse
 * @throws {IsolationError} `ERR_ISOLATION_ROLE_BYPASSES_RLS` when the application's login passes every policy
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE` when a connection is not made or lost; safe to retry
 */
export async function verifyLive(options: VerifyLiveOptions): Promise<LiveReport> {
  try {
    const admin = await connect(options.adminUrl, LIVE)
    try {
      return await lookAtLiveData(admin, options)
    } finally {
      await admin.end().catch(() => {})
    }
  } catch (error) {
    throw toOperatorError(error, LIVE)
  }
}

async function lookAtLiveData(admin: pg.Client, options: VerifyLiveOptions): Promise<LiveReport> {
  await admin.query(`set default_transaction_read_only = on; set statement_timeout = ${TIMEOUT_MS}`)
  const survey = await takeSurvey(admin)
  assertInstalled(survey)
  const rowhouse = await createRowhouse({
    url: options.appUrl,
    rootKey: options.rootKey,
    poolSize: 1,
    lanes: 0,
    tripwire: 'off',
    applicationName: 'rowhouse-verify',
  })
  try {
    const pairs: LiveCell[] = []
    for (const [attacker, victim] of await choosePairs(admin, options.pairs ?? 3))
      for (const { name, column } of survey.tenantTables)
        pairs.push(await tryTable(admin, rowhouse, { table: name, column: quoted(column), attacker, victim }))
    const alone: LiveCell[] = []
    for (const { name } of survey.tenantTables) alone.push(await tryWithoutTenant(admin, options.appUrl, name))
    return report(pairs, alone)
  } finally {
    await rowhouse.close()
  }
}

function report(pairs: readonly LiveCell[], alone: readonly LiveCell[]): LiveReport {
  const cells = [...pairs, ...alone]
  const count = (verdict: LiveCell['verdict']) => cells.filter((cell) => cell.verdict === verdict).length
  return {
    cells,
    leaked: count('leaked'),
    refused: count('refused'),
    notApplicable: count('not-applicable'),
    // A login that may read nothing is refused everything without a tenant, too.
    isolated: count('leaked') === 0 && pairs.some(({ verdict }) => verdict === 'refused'),
  }
}

function assertInstalled({ installed, database }: Survey): void {
  if (installed !== undefined) return
  throw new ConfigError(
    'ERR_NOT_INSTALLED',
    `Cannot verify database "${database}" on live data: Rowhouse is not installed in it; run "rowhouse install" first`,
  )
}

interface Tenant {
  readonly id: string
  readonly slug: string
}

async function choosePairs(admin: pg.Client, pairs: number): Promise<[Tenant, Tenant][]> {
  const { rows } = await admin.query<Tenant>(
    `select id, slug from rowhouse.tenant where state = 'active' order by md5(id::text) limit $1`,
    [pairs + 1],
  )
  if (rows.length < 2)
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot verify on live data with ${rows.length} active tenants: wanted two; run "rowhouse verify" without --live-readonly`,
    )
  return rows.slice(1).map((victim, index) => [rows[index] as Tenant, victim])
}

interface Target {
  readonly table: string
  readonly column: string
  readonly attacker: Tenant
  readonly victim: Tenant
}

async function tryTable(admin: pg.Client, rowhouse: Rowhouse, target: Target): Promise<LiveCell> {
  const { table, column, attacker, victim } = target
  const named = { table, attacker: attacker.slug, victim: victim.slug }
  const sql = `select 1 as seen from ${table} where ${column} = $1 limit 1`
  const nothing = await whyNothingToSee(admin, sql, [victim.id])
  if (nothing !== undefined) return { ...named, verdict: 'not-applicable', how: nothing }
  try {
    const rows = await rowhouse.withTenant({ tenant: attacker.slug, readOnly: true }, (db) =>
      db.many(sql, [victim.id], { timeoutMs: TIMEOUT_MS }),
    )
    return rows.length > 0
      ? { ...named, verdict: 'leaked', how: 'a row of the victim was returned' }
      : { ...named, verdict: 'refused', how: 'own rows only' }
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (OWN_CONTEXT_REFUSED.includes(code)) return { ...named, verdict: 'not-applicable', how: describe(error) }
    return { ...named, ...judgeError(error) }
  }
}

/** With another root key than the database knows, or for a tenant that lives elsewhere, nothing was asked yet. */
const OWN_CONTEXT_REFUSED: readonly unknown[] = ['ERR_ISOLATION_SEAL_REFUSED', 'ERR_TENANT_CONTEXT_MISSING']

/** Returns undefined where the operator sees a row. */
async function whyNothingToSee(admin: pg.Client, sql: string, values: readonly string[]): Promise<string | undefined> {
  try {
    const { rowCount } = await admin.query(sql, [...values])
    return rowCount === 0 ? 'there is no row to be seen in it' : undefined
  } catch (error) {
    if (isConnectionLost(error)) throw error
    return `the operator could not look: ${describe(error)}`
  }
}

async function tryWithoutTenant(admin: pg.Client, appUrl: string, table: string): Promise<LiveCell> {
  const named = { table, attacker: '(no tenant)', victim: '(anybody)' }
  const sql = `select 1 as seen from ${table} limit 1`
  // No row, no question to the policy: an empty table gives an empty answer, wall or not.
  const nothing = await whyNothingToSee(admin, sql, [])
  if (nothing !== undefined) return { ...named, verdict: 'not-applicable', how: nothing }
  const client = new pg.Client({
    connectionString: appUrl,
    options: `-c default_transaction_read_only=on -c statement_timeout=${TIMEOUT_MS}`,
    application_name: 'rowhouse-verify',
  })
  client.on('error', () => {})
  await client.connect().catch((error: Error) => {
    throw toConnectError(error, LIVE)
  })
  try {
    await client.query(sql)
    return { ...named, verdict: 'leaked', how: 'no error: an empty answer hides that the tenant is missing' }
  } catch (error) {
    return { ...named, ...judgeError(error) }
  } finally {
    await client.end().catch(() => {})
  }
}

const INSUFFICIENT_PRIVILEGE = '42501'

/** Only a wall refuses. Any other error says nothing of isolation, and without a connection nothing more can be said. */
function judgeError(error: unknown): Pick<LiveCell, 'verdict' | 'how'> {
  if (isConnectionLost(error)) throw error
  const byWall =
    error instanceof IsolationError ||
    error instanceof TenantContextError ||
    sqlstateOf(error) === INSUFFICIENT_PRIVILEGE
  return { verdict: byWall ? 'refused' : 'not-applicable', how: describe(error) }
}
