import type pg from 'pg'
import { IsolationError, StatementError, type TableFault } from '../errors.ts'
import { RAISED, SQLSTATE } from '../postgres/sqlstate.ts'
import { withAdminConnection } from './admin-connection.ts'
import { toAdminError } from './admin-error.ts'
import { closeWorkersOfCitus } from './citus-distribute.ts'

export interface TableToProtect {
  /** As in SQL, with a schema where it is not on the search path: `shipment`, `app."Order"`. */
  readonly name: string
  /** Limits rows to the units of the context by `unit_id`. @defaultValue false */
  readonly unitScope?: boolean
}

export interface ProtectOptions {
  /** URL of a login that may become `rowhouse_owner` and owns the tables. */
  readonly url: string | undefined
  readonly tables: readonly TableToProtect[]
  /** Tables that all tenants read and none writes. */
  readonly references?: readonly string[]
  /** Returns what would change, and changes nothing. @defaultValue false */
  readonly dryRun?: boolean
}

export interface TablePlan {
  readonly table: string
  readonly changes: readonly { readonly message: string; readonly statement: string }[]
  readonly warnings: readonly TableFault[]
  readonly faults: readonly TableFault[]
}

/**
 * Makes tables tenant tables: policies, FORCE, exact grants, the default of `tenant_id`, the owner.
 *
 * All tables in one transaction; running it again changes nothing. Run it again after adding a column, which is not
 * granted by itself. The same from a migration file: `select rowhouse.protect('shipment')`.
 *
 * @returns per table what was (or, in a dry run, would be) changed, and warnings such as indexes the policies cannot use
 * @throws {IsolationError} `ERR_ISOLATION_TABLE_UNPROTECTABLE` with every fault of every table in `faults`; a dry run returns them instead
 * @throws {StatementError} `ERR_STATEMENT_FAILED` when a table does not exist
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING` when the login is neither owner of the tables nor member of `rowhouse_owner`
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED`, `ERR_CONFIG_INVALID`, `ERR_NOT_INSTALLED`
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`; safe to retry
 * @example
 * ```ts
 * import { protect } from 'rowhouse/install'
 * const plans = await protect({ url: process.env.ROWHOUSE_ADMIN_URL, tables: [{ name: 'shipment', unitScope: true }], dryRun: true })
 * for (const { table, changes } of plans) console.log(table, changes.length)
 * ```
 */
export async function protect({ url, tables, references = [], dryRun = false }: ProtectOptions): Promise<TablePlan[]> {
  return withAdminConnection(url, async (client) => {
    await client.query('begin')
    try {
      // First, so that a foreign key to one of them is no warning. A dry run takes it back.
      for (const name of references) await client.query('select rowhouse.publish_reference($1::regclass)', [name])
      const plans: TablePlan[] = []
      for (const table of tables) plans.push(await plan(client, table))
      if (!dryRun) await apply(client, tables, plans)
      await client.query(dryRun ? 'rollback' : 'commit')
      if (!dryRun) await closeWorkersOfCitus(client)
      return plans
    } catch (error) {
      await client.query('rollback').catch(() => {})
      throw explain(error)
    }
  })
}

interface PlanRow {
  readonly kind: 'fault' | 'warning' | 'change'
  readonly code: string
  readonly message: string
  readonly statement: string | null
}

async function plan(client: pg.Client, { name, unitScope = false }: TableToProtect): Promise<TablePlan> {
  const text = 'select kind, code, message, statement from rowhouse.plan_protect($1::regclass, $2) order by step'
  const { rows } = await client.query<PlanRow>(text, [name, unitScope])
  const faultsOf = (kind: PlanRow['kind']) =>
    rows
      .filter((row) => row.kind === kind)
      .map(({ code, message, statement }) => ({ table: name, code, message, mend: statement ?? undefined }))
  const changes = rows
    .filter((row) => row.kind === 'change')
    .map(({ message, statement }) => ({ message, statement: statement ?? '' }))
  return { table: name, changes, warnings: faultsOf('warning'), faults: faultsOf('fault') }
}

/** The database makes the changes itself and looks again afterwards: one implementation, for this and for migration files. */
async function apply(client: pg.Client, tables: readonly TableToProtect[], plans: readonly TablePlan[]): Promise<void> {
  const faults = plans.flatMap((each) => each.faults)
  if (faults.length > 0) throw unprotectable(faults)
  for (const { name, unitScope = false } of tables) {
    await client.query('select rowhouse.protect($1::regclass, $2)', [name, unitScope])
  }
}

function unprotectable(faults: readonly TableFault[]): IsolationError {
  const lines = faults.map(({ message, mend }) => `  ${message}${mend === undefined ? '' : `\n    ${mend}`}`)
  const tables = [...new Set(faults.map((fault) => `"${fault.table}"`))].join(', ')
  return new IsolationError(
    'ERR_ISOLATION_TABLE_UNPROTECTABLE',
    `Cannot make ${tables} tenant tables yet: mend these first\n${lines.join('\n')}`,
    { faults },
  )
}

function explain(error: unknown): unknown {
  const { code, constraint, message } = error as { code?: string; constraint?: string; message: string }
  if (constraint === RAISED.unprotectable) {
    return new IsolationError('ERR_ISOLATION_TABLE_UNPROTECTABLE', `Cannot publish: ${message}`, { cause: error })
  }
  const known = toAdminError(error, 'protect tables')
  if (known instanceof StatementError && code !== undefined && UNKNOWN_TABLE.has(code)) {
    return new StatementError('ERR_STATEMENT_FAILED', `Cannot protect a table: ${message}; check its name and schema`, {
      cause: error,
      sqlState: code,
    })
  }
  return known
}

const UNKNOWN_TABLE: ReadonlySet<string> = new Set([
  SQLSTATE.undefinedTable,
  SQLSTATE.undefinedSchema,
  SQLSTATE.invalidName,
  SQLSTATE.noDataFound,
])
