/** Attacks that change, plant, move or remove rows of another tenant. Each is rolled back, whatever it did. */

import type { TableFacts } from '../../seed/schema-facts.ts'
import { insertSql, NOBODYS, quoted } from '../../seed/seed-rows.ts'
import { type Arena, rowOf, tenantColumnOf } from '../arena.ts'
import { type Attack, type Attempt, expectRefusal, leaked, refused, tenantTables } from '../attack.ts'

interface Write {
  readonly id: Attack['id']
  readonly title: string
  readonly verb: string
  readonly sql: (arena: Arena, table: TableFacts) => string
  /** Says what the number of affected rows, and the rows returned, mean. */
  readonly judge: (arena: Arena, affected: number, rows: readonly { tenant?: string }[], own: number) => Attempt
  readonly weakness?: Attack['weakness']
}

const anyRow = (_: Arena, affected: number): Attempt => (affected > 0 ? leaked(`${affected} rows`) : refused('no row'))
const moreThanOwn: Write['judge'] = (_, affected, __, own) =>
  affected > own ? leaked(`${affected - own} rows of the victim`) : refused('own rows only')

/** A column to assign to itself: not the tenant's, not computed. The tenant's where there is no other. */
function someColumn({ columns, tenantColumn }: TableFacts): string {
  const column = columns.find(
    ({ name, generated, identityAlways }) => name !== tenantColumn && !generated && !identityAlways,
  )
  return quoted(column?.name ?? tenantColumn ?? '')
}

const WRITES: readonly Write[] = [
  {
    id: 'RLS-07',
    verb: 'insert for another',
    title: 'Plant a row in another tenant',
    sql: (arena, table) => insertSql(table, rowOf(arena, table, arena.victim, NOBODYS)),
    judge: anyRow,
  },
  {
    id: 'RLS-07',
    verb: 'insert select',
    title: "Copy own rows under another tenant's name",
    sql: (arena, table) => {
      const row = rowOf(arena, table, arena.victim, NOBODYS)
      const names = [...row.keys()].map(quoted).join(', ')
      return `insert into ${table.name} (${names}) ${overriding(table)} select ${[...row.values()].join(', ')} from (select 1) one`
    },
    judge: anyRow,
  },
  {
    id: 'RLS-08',
    verb: 'update the tenant',
    title: 'Move an own row to another tenant',
    sql: (arena, table) => `update ${table.name} set ${tenantColumnOf(table)} = '${arena.victim.id}'`,
    judge: anyRow,
  },
  {
    id: 'RLS-08',
    verb: 'update the tenant back',
    title: "Take another tenant's rows over",
    sql: (arena, table) =>
      `update ${table.name} set ${tenantColumnOf(table)} = '${arena.attacker.id}' where ${tenantColumnOf(table)}::text = '${arena.victim.id}'`,
    judge: anyRow,
  },
  {
    id: 'RLS-09',
    verb: 'blind update',
    title: 'Update without a WHERE',
    sql: (_, table) => `update ${table.name} set ${someColumn(table)} = ${someColumn(table)}`,
    judge: moreThanOwn,
  },
  {
    id: 'RLS-09',
    verb: 'blind delete',
    title: 'Delete without a WHERE',
    sql: (_, table) => `delete from ${table.name}`,
    judge: moreThanOwn,
  },
  {
    id: 'RLS-32',
    verb: 'update by tenant',
    title: "Update another tenant's rows by name",
    sql: (arena, table) =>
      `update ${table.name} set ${someColumn(table)} = ${someColumn(table)} where ${tenantColumnOf(table)}::text = '${arena.victim.id}'`,
    judge: anyRow,
  },
  {
    id: 'RLS-32',
    verb: 'delete returning',
    title: 'Delete and have the rows returned',
    sql: (_, table) => `delete from ${table.name} returning ${tenantColumnOf(table)}::text as tenant`,
    judge: (arena, _, rows) => judgeReturned(arena, rows),
  },
  {
    id: 'RLS-32',
    verb: 'update from itself',
    title: 'Update through a join with the same table',
    sql: (arena, table) =>
      `update ${table.name} x set ${someColumn(table)} = x.${someColumn(table)} from (select '${arena.victim.id}' as victim) y where x.${tenantColumnOf(table)}::text = y.victim`,
    judge: anyRow,
  },
  {
    id: 'RLS-32',
    verb: 'merge update',
    title: 'Update with MERGE',
    sql: (_, table) =>
      `merge into ${table.name} x using (select 1) s on true when matched then update set ${someColumn(table)} = x.${someColumn(table)}`,
    judge: moreThanOwn,
  },
  {
    id: 'RLS-32',
    verb: 'merge delete',
    title: 'Delete with MERGE',
    sql: (_, table) => `merge into ${table.name} x using (select 1) s on true when matched then delete`,
    judge: moreThanOwn,
  },
  {
    id: 'RLS-32',
    verb: 'merge insert',
    title: 'Plant a row with MERGE',
    sql: (arena, table) => {
      const row = rowOf(arena, table, arena.victim, NOBODYS)
      return `merge into ${table.name} x using (select 1) s on false when not matched then insert (${[...row.keys()].map(quoted).join(', ')}) ${overriding(table)} values (${[...row.values()].join(', ')})`
    },
    judge: anyRow,
  },
  {
    id: 'RLS-32',
    verb: 'data-modifying cte',
    title: 'Delete inside WITH and read what went',
    sql: (_, table) =>
      `with gone as (delete from ${table.name} returning ${tenantColumnOf(table)}::text as tenant) select tenant from gone`,
    judge: (arena, _, rows) => judgeReturned(arena, rows),
  },
  {
    id: 'RLS-25',
    verb: 'truncate',
    title: 'Truncate, which asks no policy',
    sql: (_, table) => `truncate ${table.name} cascade`,
    judge: () => leaked('the table is empty'),
  },
  {
    id: 'RLS-24',
    verb: 'create trigger',
    title: "Attach a function to a shared table, to run in the victim's session",
    sql: (_, table) =>
      `create trigger planted before update on ${table.name} for each row execute function suppress_redundant_updates_trigger()`,
    judge: () => leaked('the trigger is attached'),
  },
  {
    id: 'RLS-03',
    verb: 'disable policies',
    title: 'Take the policies off',
    sql: (_, table) => `alter table ${table.name} disable row level security`,
    judge: () => leaked('row-level security is off'),
    weakness: 'role-attributes',
  },
  {
    id: 'RLS-03',
    verb: 'no force',
    title: 'Let the owner past the policies',
    sql: (_, table) => `alter table ${table.name} no force row level security`,
    judge: () => leaked('the owner passes'),
    weakness: 'role-attributes',
  },
  {
    id: 'RLS-10',
    verb: 'create policy',
    title: 'Add a policy that lets everybody in',
    sql: (_, table) => `create policy planted on ${table.name} using (true)`,
    judge: () => leaked('the policy is there'),
    weakness: 'role-attributes',
  },
]

export const writingAttacks: readonly Attack[] = WRITES.map((write) => ({
  id: write.id,
  title: write.title,
  arena: 'bare',
  weakness: write.weakness ?? 'open',
  cells: (facts) => tenantTables(facts, write.verb),
  attempt: async (arena, { table }) => {
    if (table === undefined) throw new Error('Cannot attack a cell without a table')
    const own = write.judge === moreThanOwn ? await countOwn(arena, table) : 0
    return expectRefusal(
      // The superuser of the weakened database is reached without the library, which refuses to serve one.
      () =>
        write.weakness === 'role-attributes'
          ? rawWrite(arena, write.sql(arena, table))
          : arena.library.attempt(arena.attacker, (db) => db.query(write.sql(arena, table))),
      ({ rowCount, rows }) => write.judge(arena, rowCount ?? 0, rows as { tenant?: string }[], own),
    )
  },
}))

/** A key may leave a tenant fewer rows than others have, or none. */
async function countOwn({ admin, attacker }: Arena, table: TableFacts): Promise<number> {
  const { rows } = await admin.query<{ own: number }>(
    `select count(*)::int as own from ${table.name} where ${tenantColumnOf(table)}::text = $1`,
    [attacker.id],
  )
  return rows[0]?.own ?? 0
}

async function rawWrite(arena: Arena, sql: string) {
  return arena.raw(async (client) => {
    await client.query('begin')
    for (const { text, values } of await arena.library.contextOf(arena.attacker)) await client.query(text, [...values])
    const result = await client.query(sql)
    await client.query('rollback')
    return result
  })
}

function judgeReturned(arena: Arena, rows: readonly { tenant?: string }[]): Attempt {
  const foreign = rows.filter(({ tenant }) => tenant === arena.victim.id).length
  return foreign > 0 ? leaked(`${foreign} rows of the victim`) : refused('own rows only')
}

function overriding(table: TableFacts): string {
  return table.columns.some(({ identityAlways }) => identityAlways) ? 'overriding system value' : ''
}
