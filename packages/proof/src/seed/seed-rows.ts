import type { Client } from 'pg'
import { quoted } from './quoted.ts'
import { inPartition, type Row, type RowPlan } from './row-plan.ts'
import type { SchemaFacts, TableFacts } from './schema-facts.ts'
import { settleRows } from './settle-rows.ts'

export { quoted } from './quoted.ts'

/** Rows both tenants have, under the same ids. */
export const SHARED_ROWS = 3
/** Number of the row that only the victim has: what an oracle would be asked about. */
export const VICTIM_ONLY = SHARED_ROWS + 1
/** Number of a row nobody has: what the answer about the victim's is compared with. */
export const NOBODYS = SHARED_ROWS + 2

/** Fills the tables, before there are keys and policies. Returns why some stayed empty, by table. */
export async function seedRows(
  client: Client,
  facts: SchemaFacts,
  plan: RowPlan,
  tenants: { readonly attacker: string; readonly victim: string },
): Promise<Map<string, string>> {
  const empty = new Map<string, string>()
  for (const table of facts.tables) {
    if (table.partition) continue
    const wanted =
      table.tenantColumn === undefined
        ? centralRows(table, plan, tenants)
        : [
            ...numbers(SHARED_ROWS).map((number) => plan.row(table, tenants.attacker, number)),
            ...numbers(VICTIM_ONLY).map((number) => plan.row(table, tenants.victim, number)),
          ]
    for (const row of wanted) {
      const reason = 'reason' in row ? (row.reason as string) : await insert(client, table, row as Row)
      if (reason !== undefined) empty.set(table.name, reason)
    }
  }
  await fillPartitions(client, facts, plan, tenants)
  await settleRows(client, facts, tenants.victim)
  for (const { name, tenantColumn } of facts.tables)
    if (tenantColumn !== undefined && !empty.has(name) && !(await hasRowOf(client, name, tenantColumn, tenants.victim)))
      empty.set(name, 'the keys and partitions of the schema leave the victim no row of it')
  return empty
}

/** Rows made through the parent are all in one partition; each of the others gets its own. */
async function fillPartitions(
  client: Client,
  facts: SchemaFacts,
  plan: RowPlan,
  tenants: { readonly attacker: string; readonly victim: string },
): Promise<void> {
  for (const table of facts.tables) {
    const { name, tenantColumn, partition, partitioned } = table
    if (!partition || partitioned || tenantColumn === undefined) continue
    if (await hasRowOf(client, name, tenantColumn, tenants.victim)) continue
    for (const [tenant, count] of [
      [tenants.attacker, SHARED_ROWS],
      [tenants.victim, VICTIM_ONLY],
    ] as const)
      for (const number of numbers(count)) {
        const row = plan.row(table, tenant, number)
        // Where this fails there is no row of the victim, and that is what is reported.
        if (!('reason' in row)) await insert(client, table, inPartition(facts, table, row as Row))
      }
  }
}

async function hasRowOf(client: Client, name: string, column: string, tenant: string): Promise<boolean> {
  const { rows } = await client.query(`select from ${name} where ${quoted(column)}::text = $1 limit 1`, [tenant])
  return rows.length > 0
}

/** A table of tenants gets a row for each of the two; any other the rows that tenants' rows refer to. */
function centralRows(table: TableFacts, plan: RowPlan, tenants: { attacker: string; victim: string }) {
  const [one, other] = [plan.row(table, tenants.attacker, 1), plan.row(table, tenants.victim, 2)]
  const ofTenants =
    !('reason' in one) &&
    !('reason' in other) &&
    [...(one as Row).values()].some((value) => value.includes(tenants.attacker))
  return ofTenants ? [one, other] : numbers(VICTIM_ONLY).map((number) => plan.row(table, tenants.attacker, number))
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}

async function insert(client: Client, table: TableFacts, row: Row): Promise<string | undefined> {
  try {
    await client.query(insertSql(table, row))
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** Returns the statement that makes a row, with its ids also where they are always generated. */
export function insertSql(table: TableFacts, row: Row, into = table.name): string {
  const names = [...row.keys()].map(quoted)
  if (names.length === 0) return `insert into ${into} default values`
  const always = table.columns.some(({ name, identityAlways }) => identityAlways && row.has(name))
  return `insert into ${into} (${names.join(', ')})${always ? ' overriding system value' : ''} values (${[...row.values()].join(', ')})`
}
