/** Attacks that read nothing and still learn: from keys, references, sequences and error messages. */

import { planRows, type Row, type RowPlan } from '../../seed/row-plan.ts'
import type { ForeignKeyFacts, KeyFacts, SchemaFacts, TableFacts } from '../../seed/schema-facts.ts'
import { insertSql, NOBODYS, quoted, VICTIM_ONLY } from '../../seed/seed-rows.ts'
import { type Arena, rowOf } from '../arena.ts'
import {
  type Attack,
  type Attempt,
  assertRefusal,
  type Cell,
  expectRefusal,
  leaked,
  refused,
  sqlstateOf,
} from '../attack.ts'
import type { Pair } from '../placing.ts'

export const oracleAttacks: readonly Attack[] = [
  {
    id: 'ORA-05',
    title: 'Ask a unique key whether a value exists',
    arena: 'whole',
    weakness: 'global-keys',
    notFor: unlessShared,
    cells: keyCells,
    attempt: (arena, cell) => probeKey(arena, cell, ''),
  },
  {
    id: 'ORA-06',
    title: 'Ask ON CONFLICT DO NOTHING whether a value exists',
    arena: 'whole',
    weakness: 'global-keys',
    notFor: unlessShared,
    cells: keyCells,
    attempt: (arena, cell) => probeKey(arena, cell, ' on conflict do nothing'),
  },
  {
    id: 'ORA-01',
    title: 'Ask a foreign key whether a row exists',
    arena: 'whole',
    weakness: 'global-keys',
    notFor: unlessShared,
    cells: referenceCells,
    attempt: probeReference,
  },
  {
    id: 'ORA-02',
    title: "Hold on to another tenant's row with a reference",
    arena: 'whole',
    weakness: 'global-keys',
    notFor: unlessShared,
    cells: (facts) =>
      referenceCells(facts).map((cell) =>
        isPartOfAnother(cell)
          ? { ...cell, notApplicable: 'its columns are part of a wider reference, which is attacked itself' }
          : cell,
      ),
    // What refers to a row of the victim keeps the victim from deleting it: the reference itself must be impossible.
    attempt: async (arena, cell) => {
      const answer = await answerOf(arena, referenceSql(arena, cell, VICTIM_ONLY))
      return answer === 'written' ? leaked('a row refers to one of the victim') : refused(answer)
    },
  },
  {
    id: 'ORA-09',
    title: 'Read how far a shared sequence has come',
    arena: 'whole',
    weakness: 'public-sequences',
    cells: (facts) => facts.sequences.map((target) => ({ target, verb: 'last_value' })),
    attempt: (arena, { target }) =>
      expectRefusal(
        () => arena.library.asTenant(arena.attacker, `select last_value from ${target}`),
        () => leaked('it counts what all tenants write'),
      ),
  },
  {
    id: 'ORA-09',
    title: 'Draw from a shared sequence',
    arena: 'whole',
    weakness: 'public-sequences',
    cells: (facts) => facts.sequences.map((target) => ({ target, verb: 'nextval' })),
    attempt: (arena, { target }) =>
      expectRefusal(
        () => arena.library.asTenant(arena.attacker, `select nextval('${target.replaceAll("'", "''")}')`),
        () => leaked('its gaps tell what all tenants write'),
      ),
  },
  {
    id: 'ORA-15',
    title: "Read another tenant's values out of an error message",
    arena: 'whole',
    weakness: 'open',
    cells: (facts) =>
      facts.tables
        .filter(({ tenantColumn }) => tenantColumn !== undefined)
        .map((table) => ({ target: table.name, verb: 'provoke an error', table })),
    attempt: provokeError,
  },
]

/** A key holds the rows of one table: two tenants meet in it where they share that table. */
function unlessShared({ attacker, victim }: Pair): string | undefined {
  return attacker === 'pooled' && victim === 'pooled'
    ? undefined
    : 'the two have tables of their own, and no key in common'
}

/** Keys that a tenant's row could collide on; one that only consists of the tenant has nothing to guess. */
function keyCells(facts: SchemaFacts): Cell[] {
  const plan = planRows(facts)
  return owned(facts).flatMap((table) =>
    table.keys.map((key) => ({
      target: table.name,
      verb: 'insert',
      table,
      detail: key.name,
      ...unless(table.partition || table.partitioned, 'the key of a partition is judged by doctor rule L27'),
      ...unless(guessable(table, key).length === 0, 'it has no column but the tenant'),
      ...unless(!hasRoom(plan, table, key), 'its columns have too few values for one that only the victim has'),
    })),
  )
}

/** A key over a boolean or a short enum is full with the rows there are: nothing is left to ask about. */
function hasRoom(plan: RowPlan, table: TableFacts, key: KeyFacts): boolean {
  const values = Array.from({ length: NOBODYS + 1 }, (_, index) => {
    const row = plan.row(table, '00000000-0000-0000-0000-000000000000', index + 1)
    return 'reason' in row ? index : JSON.stringify(guessable(table, key).map((column) => (row as Row).get(column)))
  })
  return new Set(values).size === values.length
}

function referenceCells(facts: SchemaFacts): Cell[] {
  return owned(facts).flatMap((table) =>
    table.foreignKeys.map((key) => ({
      target: table.name,
      verb: 'insert',
      table,
      detail: key.name,
      ...unless(
        facts.tables.find(({ name }) => name === key.references)?.tenantColumn === undefined,
        'it refers to a table that belongs to no tenant',
      ),
      ...unless(
        table.partition ||
          table.partitioned ||
          facts.tables.find(({ name }) => name === key.references)?.partitioned === true,
        'keys of partitioned tables are judged by doctor rule L26',
      ),
      ...unless(guessable(table, key).length === 0, 'it has no column but the tenant'),
    })),
  )
}

/** Where two references share columns, no row can refer to the victim by one and to an own row by the other. */
function isPartOfAnother({ table, detail }: Cell): boolean {
  const key = table?.foreignKeys.find(({ name }) => name === detail)
  if (table === undefined || key === undefined) return false
  return table.foreignKeys.some(
    (other) => other !== key && guessable(table, key).every((column) => other.columns.includes(column)),
  )
}

function unless(condition: boolean, notApplicable: string): { notApplicable?: string } {
  return condition ? { notApplicable } : {}
}

function owned(facts: SchemaFacts): TableFacts[] {
  return facts.tables.filter(({ tenantColumn }) => tenantColumn !== undefined)
}

function guessable(table: TableFacts, key: KeyFacts): string[] {
  return key.columns.filter((column) => column !== table.tenantColumn)
}

/** The same insert twice: with a value only the victim has, and with one nobody has. The answers must not differ. */
async function probeKey(arena: Arena, cell: Cell, suffix: string): Promise<Attempt> {
  const { table, key } = keyOf(cell)
  const insert = (number: number) => {
    const row = new Map(rowOf(arena, table, arena.attacker, NOBODYS + 1))
    const guess = rowOf(arena, table, arena.attacker, number)
    for (const column of guessable(table, key)) {
      const value = guess.get(column)
      if (value !== undefined) row.set(column, value)
    }
    return insertSql(table, row) + suffix
  }
  return compareAnswers(arena, insert(VICTIM_ONLY), insert(NOBODYS))
}

async function probeReference(arena: Arena, cell: Cell): Promise<Attempt> {
  return compareAnswers(arena, referenceSql(arena, cell, VICTIM_ONLY), referenceSql(arena, cell, NOBODYS))
}

/** An own row that refers, by one key, to the parent with a number. */
function referenceSql(arena: Arena, cell: Cell, number: number): string {
  const { table, reference } = referenceOf(cell)
  const row = new Map(rowOf(arena, table, arena.attacker, NOBODYS + 1))
  const guess = rowOf(arena, table, arena.attacker, number)
  // Its other references are to rows that are there, so that only this one has something to say.
  const there = rowOf(arena, table, arena.attacker, 1)
  for (const column of table.foreignKeys.flatMap((other) => guessable(table, other))) {
    const value = there.get(column)
    if (value !== undefined) row.set(column, value)
  }
  for (const column of guessable(table, reference)) {
    const value = guess.get(column)
    if (value !== undefined) row.set(column, value)
  }
  return insertSql(table, row)
}

async function compareAnswers(arena: Arena, sql: string, blank: string): Promise<Attempt> {
  const [victims, nobodys] = [await answerOf(arena, sql), await answerOf(arena, blank)]
  return victims === nobodys
    ? refused(`the same answer: ${victims}`)
    : leaked(`"${victims}" for the victim's, "${nobodys}" for nobody's`)
}

/** Everything the attacker could compare: whether it worked, how many rows, which error about which constraint. */
async function answerOf(arena: Arena, sql: string): Promise<string> {
  try {
    return await arena.library.attempt(arena.attacker, async (db) => {
      const { rowCount } = await db.query(sql)
      // Deferred constraints answer now, not at a commit that never comes.
      await db.query('set constraints all immediate')
      return rowCount === 0 ? 'nothing written' : 'written'
    })
  } catch (error) {
    assertRefusal(error)
    const { constraint, cause } = error as { constraint?: unknown; cause?: { constraint?: string } }
    return `${sqlstateOf(error)} ${cause?.constraint ?? (typeof constraint === 'string' ? constraint : '')}`
  }
}

/** Plants rows and breaks keys on purpose, then looks for the victim's id in everything that is said about it. */
async function provokeError(arena: Arena, { table }: Cell): Promise<Attempt> {
  if (table === undefined) throw new Error('Cannot attack a cell without a table')
  const column = quoted(table.tenantColumn ?? '')
  const provocations = [
    `select (array_agg(${column}::text))[1]::int from ${table.name} where ${column}::text = '${arena.victim.id}' having count(*) > 0`,
    `update ${table.name} set ${column} = ${column} where ('x' || ${column}::text)::bytea is null or length(${column}::text) < 0 returning 1`,
  ]
  for (const sql of provocations) {
    try {
      await arena.library.asTenant(arena.attacker, sql)
    } catch (error) {
      assertRefusal(error)
      const { message, cause } = error as Error & { cause?: { message?: string; detail?: string; where?: string } }
      const said = [message, cause?.message, cause?.detail, cause?.where].join(' ')
      if (said.includes(arena.victim.id)) return leaked('the message contains a value of the victim')
    }
  }
  return refused('no message contained a value of the victim')
}

function keyOf({ table, detail }: Cell): { table: TableFacts; key: KeyFacts } {
  const key = table?.keys.find(({ name }) => name === detail)
  if (table === undefined || key === undefined) throw new Error('Cannot attack a cell without its key')
  return { table, key }
}

function referenceOf({ table, detail }: Cell): { table: TableFacts; reference: ForeignKeyFacts } {
  const reference = table?.foreignKeys.find(({ name }) => name === detail)
  if (table === undefined || reference === undefined) throw new Error('Cannot attack a cell without its foreign key')
  return { table, reference }
}
