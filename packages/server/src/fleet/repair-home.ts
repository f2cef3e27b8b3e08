import type { HomeAddress, OperatorConnections } from '../registry/operator-connections.ts'
import { explainFailure } from './home-failure.ts'
import { lockHome } from './home-lock.ts'
import { opening, searchPath, type Target, toPieces } from './home-transaction.ts'
import { type RepairPlan, toRepairMigrations } from './repair.ts'

const LIMITS = { lockTimeoutMs: 2_000, statementTimeoutMs: 60_000 }
const CONCURRENT_TIMEOUT_MS = 3_600_000

/**
 * Runs the SQL of a repair plan in the home it was made for: what fits a transaction in one, the rest alone after it.
 *
 * For a person who has read the plan. The ledger stays as it is; find drift again to see what is left.
 *
 * @throws {MigrationError} `ERR_MIGRATION_FAILED`; what is in the transaction is undone. `ERR_MIGRATION_LOCKED` while a
 *   migration runs there
 * @throws {IsolationError} `ERR_ISOLATION_TABLE_UNPROTECTABLE`
 * @example
 * ```ts
 * import { findDrift, OperatorConnections, readMigrations, repairHome } from 'rowhouse-server'
 * const connections = new OperatorConnections(process.env.ROWHOUSE_ADMIN_URL ?? '')
 * const { drifted } = await findDrift(connections, await readMigrations('migrations'))
 * for (const { home, repair } of drifted) {
 *   if (repair.byHand.length === 0 && repair.findings.length === 0) await repairHome(connections, home, repair)
 * }
 * ```
 */
export async function repairHome(
  connections: OperatorConnections,
  home: HomeAddress,
  { statements }: Pick<RepairPlan, 'statements'>,
): Promise<void> {
  const schema = home.schema ?? ''
  const repairs = await toRepairMigrations(statements)
  await connections.use(home, async (client) => {
    const { rows } = await client.query<{ bypasses: boolean }>(
      'select rolsuper as bypasses from pg_roles where rolname = session_user',
    )
    const target: Target = { home: schema, published: new Set(), unused: false, bypasses: rows[0]?.bypasses === true }
    for (const repair of repairs) {
      if (repair.transactional) {
        await client.query(opening(target, LIMITS))
        await lockHome(client, home)
        for (const piece of toPieces([repair], target, undefined).slice(0, -1)) {
          await client.query(piece.sql).catch((error: unknown) => {
            throw explainFailure(error, schema, piece)
          })
        }
        await client.query('commit')
        continue
      }
      await client.query(
        `set role rowhouse_owner; set search_path = ${searchPath(schema)}; set lock_timeout = ${CONCURRENT_TIMEOUT_MS}; set statement_timeout = ${CONCURRENT_TIMEOUT_MS}`,
      )
      for (const statement of repair.statements) {
        await client.query(statement.text).catch((error: unknown) => {
          throw explainFailure(error, schema, { sql: statement.text, migration: repair, statement })
        })
      }
      await client.query('reset role; reset search_path; reset lock_timeout; reset statement_timeout')
    }
  })
}
