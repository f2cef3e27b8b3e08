import type pg from 'pg'
import { escapeIdentifier } from 'pg'
import type { FittingTable } from './fit-tables.ts'
import { copyRows } from './load-rows.ts'
import type { Artefact } from './open-artefact.ts'

/** Tells which side of a join a row is on; no column of an application has this name. */
const MARK = 'rowhouse_is_there'

/** Rows of a backup beside those of the tenant, and how they differ. */
export interface StagedTable extends FittingTable {
  /** Temporary table with the rows of the backup. */
  readonly stage: string
  /** Temporary table with a row per difference: `kind` and the key's columns. */
  readonly differences: string
  /** Condition under which a row `l` of the tenant is row `s` of the backup. */
  readonly same: string
}

/** Loads a table's rows into a temporary table and compares them with the tenant's. Both go with the transaction. */
export async function stageTable(
  client: pg.ClientBase,
  artefact: Artefact,
  fit: FittingTable,
  tenantId: string,
): Promise<StagedTable> {
  const { entry, table } = fit
  const stage = `rowhouse_stage_${table.oid}`
  const differences = `rowhouse_difference_${table.oid}`
  const columns = entry.columns.map(({ name, type }) => `${escapeIdentifier(name)} ${type}`).join(', ')
  await client.query(`create temp table ${stage} (${columns}) on commit drop`)
  if (columns === '') await client.query(`insert into ${stage} select from generate_series(1, $1::int)`, [entry.rows])
  else await copyRows(client, artefact, fit, stage)
  await client.query(`analyze ${stage}`)
  const key = keyOf(fit)
  // Rows without a key of their own are told apart by all they hold: one that changed is one missing and one extra.
  const text =
    (...first: string[]) =>
    (alias: string) =>
      `row(${[...first.map((name) => `${alias}.${name}`), ...columnsWith(entry, alias)].join(', ')})::text`
  const byKey = key.map((name) => `l.${escapeIdentifier(name)} = s.${escapeIdentifier(name)}`).join(' and ')
  const whole = text()
  // PostgreSQL wants a column of each side in the condition of a full join, also where the rows have none.
  const marked = text(MARK)
  const [same, joined] = hasOneRow(entry)
    ? ['true', `l.${MARK} = s.${MARK}`]
    : key.length === 0
      ? [`${whole('l')} = ${whole('s')}`, `${marked('l')} = ${marked('s')}`]
      : [byKey, byKey]
  const shown = (alias: string) =>
    `json_build_object(${showKey(key.length === 0 ? entry.columns.map(({ name }) => name) : key, alias)})`
  await client.query(
    `create temp table ${differences} on commit drop as
     select case when l.${MARK} is null then 'missing' when s.${MARK} is null then 'extra' else 'changed' end as kind,
            case when s.${MARK} is null then ${shown('l')} else ${shown('s')} end as key
       from (select true as ${MARK}, * from ${stage}) s
       full join (select ${[`true as ${MARK}`, ...columnsWith(entry, 't')].join(', ')} from ${table.from} t where tenant_id = '${tenantId}'::uuid) l
         on ${joined}
      where l.${MARK} is null or s.${MARK} is null or ${whole('l')} is distinct from ${whole('s')}`,
  )
  return { ...fit, stage, differences, same }
}

/** The tenant itself is the key. */
function hasOneRow({ key }: FittingTable['entry']): boolean {
  return key.length === 1 && key[0] === 'tenant_id'
}

/** Columns of the key besides the tenant's. */
function keyOf({ entry }: FittingTable): string[] {
  return entry.key.filter((name) => name !== 'tenant_id')
}

/** As text: numbers of 64 bits have no place in JSON. */
function showKey(names: readonly string[], alias: string): string {
  return names.map((name) => `'${name.replaceAll("'", "''")}', ${alias}.${escapeIdentifier(name)}::text`).join(', ')
}

/** Names of the columns that were kept, safe to splice. */
export function columnsWith({ columns }: FittingTable['entry'], alias: string): string[] {
  return columns.map(({ name }) => `${alias}.${escapeIdentifier(name)}`)
}
