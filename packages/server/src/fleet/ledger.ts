import { createHash } from 'node:crypto'
import { MigrationError } from 'rowhouse'
import type { Migration } from './migration.ts'
import { assertUnchanged, type KnownMigration } from './migration-folder.ts'

/** Stands for the reference tables of a database in its ledger: they are there once, for all homes. */
export const REFERENCES = '*'

/** A line of the ledger in the database a home lies in. */
export interface LedgerRow extends KnownMigration {
  /** Name of the schema, '' for shared tables, `*` for reference tables. */
  readonly home: string
}

/** What is still to be run in a home, and what is there already. */
export interface Backlog {
  readonly pending: readonly Migration[]
  /** Migrations whose reference tables this database has. */
  readonly published: ReadonlySet<string>
  /** Migrations the ledger knows and the folder does not: a newer release was here. */
  readonly unknown: readonly KnownMigration[]
}

/**
 * Compares the ledger with the files.
 *
 * @throws {MigrationError} `ERR_SCHEMA_DRIFT` when a file changed after it ran, `ERR_SCHEMA_NEWER` when a migration ran
 *   that no file knows and `allowNewer` is not set
 */
export function findBacklog(
  rows: readonly LedgerRow[],
  migrations: readonly Migration[],
  allowNewer: boolean,
): Backlog {
  const files = new Set(migrations.map(({ id }) => id))
  assertUnchanged(
    rows.filter(({ id }) => files.has(id)),
    migrations,
  )
  const own = rows.filter(({ home }) => home !== REFERENCES)
  const unknown = own.filter(({ id }) => !files.has(id))
  if (unknown.length > 0 && !allowNewer) throw newer(unknown)
  const ran = new Set(own.map(({ id }) => id))
  return {
    pending: migrations.filter(({ id }) => !ran.has(id)),
    published: new Set(rows.filter(({ home }) => home === REFERENCES).map(({ id }) => id)),
    unknown,
  }
}

function newer(unknown: readonly KnownMigration[]): MigrationError {
  return new MigrationError(
    'ERR_SCHEMA_NEWER',
    `Cannot migrate: "${unknown[0]?.id}"${unknown.length > 1 ? ` and ${unknown.length - 1} more` : ''} ran here and no file is called so; deploy the release that has the file, or allow newer schemas`,
  )
}

/**
 * Returns one value for a set of migrations that ran: two homes with the same value had the same files, in any order.
 *
 * @param migrations in the order of the folder
 */
export function digestOf(migrations: readonly KnownMigration[]): string {
  const lines = migrations.map(({ id, sha256 }) => `${id} ${sha256}\n`)
  return createHash('sha256').update(lines.join('')).digest('hex')
}
