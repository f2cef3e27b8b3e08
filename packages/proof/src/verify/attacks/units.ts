/** Attacks of one branch on the others of the same tenant, where tables have unit scope. */

import type { SchemaFacts, TableFacts } from '../../seed/schema-facts.ts'
import { insertSql, NOBODYS, quoted } from '../../seed/seed-rows.ts'
import { type Arena, rowOf, type TenantRef } from '../arena.ts'
import { type Attack, type Attempt, type Cell, expectRefusal, leaked, refused } from '../attack.ts'

interface UnitAttack {
  readonly verb: string
  readonly title: string
  readonly sql: (table: TableFacts, arena: Arena) => string
  /** How many rows there would be without an attack: the one row of the own unit, or none. */
  readonly allowed: number
}

const UNIT = '"unit_id"'

const ATTACKS: readonly UnitAttack[] = [
  {
    verb: 'select',
    title: 'Read rows of another branch',
    sql: ({ name }, arena) => `select 1 from ${name} where ${UNIT} is distinct from ${unitOf(arena, name)}`,
    allowed: 0,
  },
  {
    verb: 'blind update',
    title: 'Update rows of another branch',
    sql: (table) => `update ${table.name} set ${plainColumn(table)} = ${plainColumn(table)}`,
    allowed: 1,
  },
  {
    verb: 'blind delete',
    title: 'Delete rows of another branch',
    sql: ({ name }) => `delete from ${name}`,
    allowed: 1,
  },
  {
    verb: 'insert',
    title: 'Plant a row in another branch',
    sql: (table, arena) => insertSql(table, rowOf(arena, table, arena.attacker, NOBODYS)),
    allowed: 0,
  },
  {
    verb: 'move',
    title: 'Move an own row to another branch',
    sql: (table, arena) =>
      `update ${table.name} set ${UNIT} = ${rowOf(arena, table, arena.attacker, 2).get('unit_id')}`,
    allowed: 0,
  },
]

export const unitAttacks: readonly Attack[] = ATTACKS.map(({ verb, title, sql, allowed }) => ({
  id: 'RLS-45',
  title,
  arena: 'bare',
  weakness: 'open',
  place: 'own',
  cells: (facts) => unitTables(facts, verb),
  attempt: (arena, { table }): Promise<Attempt> => {
    if (table === undefined) throw new Error('Cannot attack a cell without a table')
    const clerk: TenantRef = { ...arena.attacker, units: [unitOf(arena, table.name).replace(/^'|'::uuid$/g, '')] }
    return expectRefusal(
      () => arena.library.attempt(clerk, (db) => db.query(sql(table, arena))),
      ({ rowCount }) =>
        (rowCount ?? 0) > allowed ? leaked(`${rowCount} rows, wanted at most ${allowed}`) : refused('own branch only'),
    )
  },
}))

function unitTables(facts: SchemaFacts, verb: string): Cell[] {
  return facts.tables.filter(({ unitScoped }) => unitScoped).map((table) => ({ target: table.name, verb, table }))
}

/** The unit of row 1, as a literal. */
function unitOf(arena: Arena, name: string): string {
  const table = arena.facts.tables.find((each) => each.name === name)
  return (table === undefined ? undefined : rowOf(arena, table, arena.attacker, 1).get('unit_id')) ?? 'null'
}

function plainColumn({ columns, tenantColumn }: TableFacts): string {
  const column = columns.find(
    ({ name, generated, identityAlways }) =>
      name !== tenantColumn && name !== 'unit_id' && !generated && !identityAlways,
  )
  return quoted(column?.name ?? 'unit_id')
}
