/**
 * Takes out the rows a schema would not allow: its keys are made after the rows, and must find nothing to refuse.
 *
 * Both tenants get the same ids, so a key that does not start with the tenant refuses one of them. The victim's row
 * stays: it is what an attacker would ask about.
 */

import type { Client } from 'pg'
import { quoted } from './quoted.ts'
import type { ForeignKeyFacts, SchemaFacts, TableFacts, UniquenessFacts } from './schema-facts.ts'

/** @param victim  id of the tenant whose rows stay */
export async function settleRows(client: Client, facts: SchemaFacts, victim: string): Promise<void> {
  const tables = facts.tables.filter(({ partition }) => !partition)
  const statements = [
    ...tables.flatMap((table) => table.uniqueness.map((key) => withoutDuplicates(table, key, victim))),
    ...tables.flatMap((table) =>
      table.foreignKeys
        .filter(({ references }) => facts.tables.some(({ name }) => name === references))
        .map((key) => withoutOrphans(table, key)),
    ),
  ]
  // What goes may have been referred to, and who referred to that. Rows only become fewer, so this ends.
  for (let gone = 1; gone > 0; ) {
    gone = 0
    for (const sql of statements) gone += (await client.query(sql)).rowCount ?? 0
  }
}

/** Compared as text: an exclusion constraint may be over a type that has no equality. */
function withoutDuplicates(table: TableFacts, { expressions, predicate, nullsEqual }: UniquenessFacts, victim: string) {
  const only = table.partitioned ? '' : 'only '
  const first =
    table.tenantColumn === undefined ? '' : `(${quoted(table.tenantColumn)}::text = '${victim}') desc nulls last, `
  const conditions = [
    ...(predicate === undefined ? [] : [`(${predicate})`]),
    ...(nullsEqual ? [] : expressions.map((expression) => `(${expression}) is not null`)),
  ]
  return `
    delete from ${only}${table.name} t using (
      select tableoid as relation, ctid as place,
             row_number() over (partition by ${expressions.map((expression) => `(${expression})::text`).join(', ')} order by ${first}ctid) as copy
        from ${only}${table.name}${conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`}) x
     where x.copy > 1 and t.tableoid = x.relation and t.ctid = x.place`
}

function withoutOrphans(table: TableFacts, { columns, references, referenced }: ForeignKeyFacts): string {
  const pairs = columns.map((column, index) => `p.${quoted(referenced[index] ?? '')}::text = c.${quoted(column)}::text`)
  return `
    delete from ${table.partitioned ? '' : 'only '}${table.name} c
     where ${columns.map((column) => `c.${quoted(column)} is not null`).join(' and ')}
       and not exists (select from ${references} p where ${pairs.join(' and ')})`
}
