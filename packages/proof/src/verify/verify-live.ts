import pg from 'pg'
import { ConfigError, createRowhouse, type Rowhouse } from 'rowhouse'
import { connect } from '../clone/scratch-database.ts'
import { takeSurvey } from '../doctor/survey.ts'
import { quoted } from '../seed/seed-rows.ts'
import { describe } from './attack.ts'

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
  /** True when nothing leaked and there was something that could have. */
  readonly isolated: boolean
}

/** Each question reads at most one row of a table; one that takes longer is given up. */
const TIMEOUT_MS = 5_000

/**
 * Tries on live data what is safe there: reads another tenant's rows as a tenant, and everybody's without one.
 *
 * Read-only transactions, at most one row each, a time limit of five seconds. A table counts only where the operator's
 * login sees a row of the victim, so that "nothing was seen" means something. For everything else there is `verify`.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when there are fewer than two active tenants, or no root key
 */
export async function verifyLive(options: VerifyLiveOptions): Promise<LiveReport> {
  const admin = await connect(options.adminUrl)
  let rowhouse: Rowhouse | undefined
  try {
    await admin.query(`set default_transaction_read_only = on; set statement_timeout = ${TIMEOUT_MS}`)
    const survey = await takeSurvey(admin)
    rowhouse = await createRowhouse({
      url: options.appUrl,
      rootKey: options.rootKey,
      poolSize: 1,
      lanes: 0,
      tripwire: 'off',
      applicationName: 'rowhouse-verify',
    })
    const cells: LiveCell[] = []
    for (const [attacker, victim] of await choosePairs(admin, options.pairs ?? 3))
      for (const { name, column } of survey.tenantTables)
        cells.push(await tryTable(admin, rowhouse, { table: name, column: quoted(column), attacker, victim }))
    for (const { name } of survey.tenantTables) cells.push(await tryWithoutTenant(options.appUrl, name))
    const count = (verdict: LiveCell['verdict']) => cells.filter((cell) => cell.verdict === verdict).length
    return {
      cells,
      leaked: count('leaked'),
      refused: count('refused'),
      notApplicable: count('not-applicable'),
      isolated: count('leaked') === 0 && count('refused') > 0,
    }
  } finally {
    await rowhouse?.close()
    await admin.end()
  }
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

async function tryTable(
  admin: pg.Client,
  rowhouse: Rowhouse,
  target: { table: string; column: string; attacker: Tenant; victim: Tenant },
): Promise<LiveCell> {
  const { table, column, attacker, victim } = target
  const named = { table, attacker: attacker.slug, victim: victim.slug }
  const sql = `select 1 as seen from ${table} where ${column}::text = '${victim.id}' limit 1`
  try {
    const { rowCount } = await admin.query(sql.replace('::text', ''))
    if (rowCount === 0) return { ...named, verdict: 'not-applicable', how: 'the victim has no row in it' }
    const rows = await rowhouse.withTenant({ tenant: attacker.slug, readOnly: true }, (db) =>
      db.many(sql, [], { timeoutMs: TIMEOUT_MS }),
    )
    return rows.length > 0
      ? { ...named, verdict: 'leaked', how: 'a row of the victim was returned' }
      : { ...named, verdict: 'refused', how: 'own rows only' }
  } catch (error) {
    return {
      ...named,
      verdict: /ERR_TIMEOUT|57014/.test(describe(error)) ? 'not-applicable' : 'refused',
      how: describe(error),
    }
  }
}

async function tryWithoutTenant(appUrl: string, table: string): Promise<LiveCell> {
  const named = { table, attacker: '(no tenant)', victim: '(anybody)' }
  const client = new pg.Client({
    connectionString: appUrl,
    options: `-c default_transaction_read_only=on -c statement_timeout=${TIMEOUT_MS}`,
    application_name: 'rowhouse-verify',
  })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(`select 1 from ${table} limit 1`)
    return { ...named, verdict: 'leaked', how: 'no error: an empty answer hides that the tenant is missing' }
  } catch (error) {
    return { ...named, verdict: 'refused', how: describe(error) }
  } finally {
    await client.end().catch(() => {})
  }
}
