import { MigrationError } from 'rowhouse'
import type { HomeAddress } from '../registry/operator-connections.ts'
import { nameOfHome, type Runner } from './homes.ts'

/** Key space of the advisory locks on homes, in the database the home lies in: one migrator per home. */
const SEED = 7_262_374
const TIMEOUT_MS = 30_000

/** SQL expression of a home's key. Names of homes need no quotes. */
export function homeLockKey(schema: string): string {
  return `hashtextextended('rowhouse home ${schema}', ${SEED})`
}

/** Keeps migrations out of a home until the transaction ends; waits for one that is running. */
export async function lockHome(client: Runner, home: HomeAddress): Promise<void> {
  await client.query(`set local lock_timeout = ${TIMEOUT_MS}`)
  const text = `select pg_advisory_xact_lock(${homeLockKey(home.schema ?? '')})`
  await client.query(text).catch((error: Error & { code?: string }) => {
    if (error.code !== '55P03') throw error
    throw new MigrationError(
      'ERR_MIGRATION_LOCKED',
      `Cannot lock ${nameOfHome(home)}: a migration was at work there for ${TIMEOUT_MS / 1000} seconds; try again when it is done`,
      { cause: error },
    )
  })
}
