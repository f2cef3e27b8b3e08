import type pg from 'pg'
import { MigrationError } from 'rowhouse'
import { listTenantTables, type TenantTable } from '../tenant-data/tenant-tables.ts'
import type { TableEntry } from './manifest.ts'
import type { Artefact } from './open-artefact.ts'

/** A table of an artefact and the one its rows go to. */
export interface FittingTable {
  readonly entry: TableEntry
  readonly table: TenantTable
  /** Columns the artefact does not know: rows get their default. */
  readonly filled: readonly string[]
}

interface ColumnRow {
  readonly oid: number
  readonly name: string
  readonly type: string
  readonly optional: boolean
  readonly filled: string | null
}

/**
 * Looks whether the rows of an artefact fit the tables of a home, before anything is written. A table may have more
 * columns, where they may be null or have a default; nothing else may differ.
 *
 * @param wanted  names of tables; empty for all
 * @throws {MigrationError} `ERR_SCHEMA_DRIFT` with every difference
 * @throws {RangeError} for a table the artefact has not
 */
export async function fitTables(
  client: pg.ClientBase,
  { name, manifest }: Artefact,
  schema: string,
  wanted: readonly string[],
): Promise<{ fitting: FittingTable[]; untouched: TenantTable[] }> {
  const entries = manifest.tables.filter((entry) => wanted.length === 0 || wanted.includes(entry.name))
  const unknown = wanted.filter((table) => !manifest.tables.some((entry) => entry.name === table))
  if (unknown.length > 0)
    throw new RangeError(`Cannot restore "${unknown.join('", "')}": artefact "${name}" has no such table`)
  const tables = await listTenantTables(client, schema)
  const columns = await readColumns(client, tables)
  const faults: string[] = []
  const fitting = entries.flatMap((entry) => {
    const table = tables.find((each) => each.name === entry.name)
    if (table === undefined) {
      faults.push(`table "${entry.name}" is not there`)
      return []
    }
    const found = columns.filter(({ oid }) => oid === table.oid)
    faults.push(...faultsOf(entry, table, found))
    const filled = found.filter((column) => isNew(entry, column)).map((column) => column.name)
    return [{ entry, table, filled }]
  })
  if (faults.length > 0)
    throw new MigrationError(
      'ERR_SCHEMA_DRIFT',
      `Cannot restore artefact "${name}" of ${manifest.takenAt}: ${faults.join('; ')}; bring the home to the version of the backup, or restore other tables`,
    )
  return { fitting, untouched: tables.filter((table) => !fitting.some((each) => each.table === table)) }
}

function isNew({ columns }: TableEntry, { name }: ColumnRow): boolean {
  return name !== 'tenant_id' && !columns.some((column) => column.name === name)
}

function faultsOf(entry: TableEntry, table: TenantTable, found: readonly ColumnRow[]): string[] {
  const faults: string[] = []
  for (const { name, type } of entry.columns) {
    const column = found.find((each) => each.name === name)
    if (column === undefined) faults.push(`column "${entry.name}.${name}" is not there`)
    else if (column.type !== type) faults.push(`column "${entry.name}.${name}" is ${column.type} and was ${type}`)
  }
  for (const column of found) {
    if (isNew(entry, column) && !column.optional)
      faults.push(`column "${entry.name}.${column.name}" is new and has no default`)
  }
  if (JSON.stringify(entry.key) !== JSON.stringify(table.key))
    faults.push(`the key of "${entry.name}" is (${table.key.join(', ')}) and was (${entry.key.join(', ')})`)
  const tenant = found.find(({ name }) => name === 'tenant_id')
  if (tenant?.filled !== 'rowhouse.current_tenant_id()')
    faults.push(`"${entry.name}.tenant_id" has not the default it is protected with`)
  return faults
}

/** Without generated columns: those are made again where the rows arrive. */
async function readColumns(client: pg.ClientBase, tables: readonly TenantTable[]): Promise<ColumnRow[]> {
  const { rows } = await client.query<ColumnRow>(
    `select a.attrelid::int as oid, a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
            not a.attnotnull or a.atthasdef or a.attidentity <> '' as optional, pg_get_expr(d.adbin, d.adrelid) as filled
       from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attrelid, a.attnum`,
    [tables.map(({ oid }) => oid)],
  )
  return rows
}
