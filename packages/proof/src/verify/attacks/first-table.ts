import { quoted } from '../../seed/quoted.ts'
import type { SchemaFacts, TableFacts } from '../../seed/schema-facts.ts'
import type { Cell } from '../attack.ts'

/**
 * One cell, for what does not depend on the table: one behind walls that the application may read, with rows of both
 * tenants, where there is one. Where the application may read none, its rights refuse, whatever the context.
 */
export function firstTable(facts: SchemaFacts, verb: string): Cell[] {
  const tables = facts.tables.filter(({ tenantColumn }) => tenantColumn !== undefined)
  const walled = tables.filter(({ walled }) => walled)
  const readable = walled.filter(({ readable }) => readable)
  const both = (candidate: TableFacts) => holdsBoth(facts, candidate)
  const table = readable.find(both) ?? walled.find(both) ?? walled[0] ?? tables[0]
  return table === undefined
    ? [{ target: 'database', verb, notApplicable: 'there is no table of tenants' }]
    : [{ target: table.name, verb, table }]
}

/** Where a key is over all tenants, in the table or in one it refers to, only the victim has rows. */
function holdsBoth(facts: SchemaFacts, { name, foreignKeys }: TableFacts): boolean {
  const names = [name, ...foreignKeys.map(({ references }) => references)]
  return facts.tables
    .filter((table) => names.includes(table.name))
    .every(
      ({ tenantColumn, uniqueness }) =>
        tenantColumn === undefined ||
        uniqueness.every(
          ({ expressions }) => expressions.includes(tenantColumn) || expressions.includes(quoted(tenantColumn)),
        ),
    )
}

export function requireTable(table: TableFacts | undefined): TableFacts {
  if (table === undefined) throw new Error('Cannot attack a cell without a table')
  return table
}
