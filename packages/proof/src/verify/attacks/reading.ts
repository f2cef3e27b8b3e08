/** Attacks that read another tenant's rows out of a table, each in another shape of statement. */

import type { TableFacts } from '../../seed/schema-facts.ts'
import { type Arena, spoken, tenantColumnOf } from '../arena.ts'
import {
  type Attack,
  type Attempt,
  assertRefusal,
  type Cell,
  expectRefusal,
  judgeForeign,
  leaked,
  refused,
  sqlstateOf,
  tenantTables,
} from '../attack.ts'

/** What a shape is given: table, tenant's column and the two ids, all ready to splice. */
interface Splice {
  readonly t: string
  readonly c: string
  readonly victim: string
}

interface Shape {
  readonly id: Attack['id']
  readonly title: string
  readonly verb: string
  /** Returns how many foreign rows it saw in its column `foreign`, as a number. */
  readonly sql: (splice: Splice) => string
  /** Only for tables of this kind. */
  readonly only?: (table: TableFacts) => string | undefined
}

const plainTable = (table: TableFacts) => (table.partitioned ? 'its rows are in its partitions' : undefined)

const SHAPES: readonly Shape[] = [
  {
    id: 'RLS-01',
    verb: 'select',
    title: 'Read a table and forget the WHERE',
    sql: ({ t, c, victim }) =>
      `select count(*)::int as foreign from (select * from ${t}) x where x.${c}::text = ${victim}`,
  },
  {
    id: 'RLS-01',
    verb: 'select all',
    title: 'Count every row there is',
    sql: ({ t, c, victim }) =>
      `select (count(*) - count(*) filter (where ${c}::text <> ${victim}))::int as foreign from ${t}`,
  },
  {
    id: 'WEB-15',
    verb: 'select by key',
    title: "Ask for another tenant's row by its id",
    sql: ({ t, c, victim }) =>
      `select count(*)::int as foreign from ${t} x where x.${c}::text = ${victim} and x::text is not null`,
  },
  {
    id: 'RLS-32',
    verb: 'select for update',
    title: 'Lock rows while reading them',
    sql: ({ t, c, victim }) =>
      `with locked as (select ${c} from ${t} for update) select count(*) filter (where ${c}::text = ${victim})::int as foreign from locked`,
  },
  {
    id: 'RLS-32',
    verb: 'tablesample',
    title: 'Sample a table',
    only: (table) => (table.partitioned ? 'a partitioned table is sampled in its partitions' : undefined),
    sql: ({ t, c, victim }) =>
      `select count(*) filter (where ${c}::text = ${victim})::int as foreign from ${t} tablesample system (100)`,
  },
  {
    id: 'RLS-32',
    verb: 'select by ctid',
    title: 'Read rows by their place on disk',
    only: plainTable,
    sql: ({ t, c, victim }) =>
      `select count(*) filter (where ${c}::text = ${victim})::int as foreign from ${t} where ctid >= '(0,0)'::tid and ctid < '(100000,0)'::tid`,
  },
  {
    id: 'RLS-32',
    verb: 'self join',
    title: 'Join a table with itself and with a lateral copy',
    sql: ({ t, c, victim }) =>
      `select count(*)::int as foreign from ${t} a cross join lateral (select * from ${t} b where b.${c}::text = ${victim} or b.${c} is not distinct from a.${c}) x where x.${c}::text = ${victim}`,
  },
  {
    id: 'RLS-32',
    verb: 'recursive cte',
    title: 'Reach rows through WITH RECURSIVE',
    sql: ({ t, c, victim }) =>
      `with recursive r as (select ${c} as tenant, 1 as depth from ${t} union all select b.${c}, r.depth + 1 from r join ${t} b on true where r.depth < 2) select count(*) filter (where tenant::text = ${victim})::int as foreign from r`,
  },
  {
    id: 'RLS-32',
    verb: 'set operation',
    title: 'Subtract the own rows from all',
    sql: ({ t, c, victim }) =>
      `select count(*) filter (where x::text = ${victim})::int as foreign from (select ${c} as x from ${t} except select ${c} from ${t} where ${c}::text <> ${victim}) y`,
  },
  {
    id: 'RLS-32',
    verb: 'window',
    title: 'Number all rows with a window',
    sql: ({ t, c, victim }) =>
      `select coalesce(max(n) filter (where x::text = ${victim}), 0)::int as foreign from (select ${c} as x, row_number() over () as n from ${t}) y`,
  },
  {
    id: 'RLS-41',
    verb: 'leaky function',
    title: 'Put a cheap function before the policy',
    sql: ({ t, c, victim }) =>
      `select count(*)::int as foreign from ${t} where ascii(${c}::text) >= 0 and position(${victim} in ${c}::text) = 1`,
  },
  {
    id: 'RLS-32',
    verb: 'query_to_xml',
    title: 'Run the statement as text inside a function',
    sql: ({ t, c, victim }) =>
      `select (length(x) - length(replace(x, ${victim}, '')))::int as foreign from (select query_to_xml('select ${c.replaceAll("'", "''")} from ${t.replaceAll("'", "''")}', true, false, '')::text as x) y`,
  },
  {
    id: 'ORA-11',
    verb: 'statistics',
    title: "Read another tenant's values out of pg_stats",
    sql: ({ t }) =>
      `select count(*)::int as foreign from pg_catalog.pg_stats s where format('%I.%I', s.schemaname, s.tablename) = '${t.replaceAll("'", "''")}' and s.n_distinct is not null`,
  },
]

export const readingAttacks: readonly Attack[] = [
  ...SHAPES.map(fromShape),
  {
    id: 'RLS-42',
    title: 'Make rows of others raise an error that says they are there',
    arena: 'whole',
    weakness: 'open',
    cells: (facts) => tenantTables(facts, 'select with a probe'),
    attempt: async (arena, cell) => {
      const { t, c, victim } = spliceOf(arena, cell)
      try {
        await arena.library.asTenant(
          arena.attacker,
          `select count(1 / (case when ${c}::text = ${victim} then 0 else 1 end)) from ${t}`,
        )
        return refused('no row of the victim was divided by')
      } catch (error) {
        assertRefusal(error)
        const state = sqlstateOf(error)
        return state === '22012' ? leaked('division by zero: the row is there') : refused(String(state))
      }
    },
  },
  {
    id: 'RLS-31',
    title: 'Copy a table out',
    arena: 'whole',
    weakness: 'open',
    cells: (facts) =>
      tenantTables(facts, 'copy to').map((cell) =>
        cell.table?.partitioned ? { ...cell, notApplicable: 'a partitioned table is copied by its partitions' } : cell,
      ),
    attempt: (arena, cell) =>
      expectRefusal(
        () =>
          arena.raw(async (client) => {
            const { t, c } = spliceOf(arena, cell)
            await client.query('begin')
            for (const { text, values } of await arena.library.contextOf(arena.attacker))
              await client.query(text, [...values])
            return copyOut(client, `copy (select ${c}::text from ${t}) to stdout`)
          }),
        (lines) => (lines.includes(arena.victim.id) ? leaked('its rows were in the copy') : refused('own rows only')),
      ),
  },
  {
    id: 'CTX-01',
    title: 'Read without any tenant',
    arena: 'whole',
    weakness: 'fail-open',
    cells: (facts) => tenantTables(facts, 'select without a tenant'),
    attempt: (arena, cell) => withoutContext(arena, cell, []),
  },
  {
    id: 'RLS-15',
    title: 'Read with an empty tenant, as a setting is after SET LOCAL',
    arena: 'whole',
    weakness: 'fail-open',
    cells: (facts) => tenantTables(facts, 'select with an empty tenant'),
    attempt: (arena, cell) => withoutContext(arena, cell, ["select set_config('rowhouse.seal', '', true)"]),
  },
  {
    id: 'RLS-06',
    title: 'Switch row-level security off for the session',
    arena: 'whole',
    weakness: 'open',
    cells: (facts) => tenantTables(facts, 'select with row_security = off'),
    attempt: (arena, cell) =>
      expectRefusal(
        () =>
          arena.library.attempt(arena.attacker, async (db) => {
            const { t, c, victim } = spliceOf(arena, cell)
            await db.query(`select set_config('row_security', 'off', true)`)
            return db.query(`select count(*) filter (where ${c}::text = ${victim})::int as foreign from ${t}`)
          }),
        ({ rows }) => judgeForeign(rows[0]?.foreign),
      ),
  },
  {
    id: 'RLS-37',
    title: 'Run a plan that was made for the victim',
    arena: 'whole',
    weakness: 'folded',
    cells: (facts) => tenantTables(facts, 'select by a cached plan'),
    attempt: (arena, cell) =>
      expectRefusal(
        () =>
          arena.raw(async (client) => {
            const { t, c, victim } = spliceOf(arena, cell)
            await client.query(`set plan_cache_mode = force_generic_plan`)
            const text = `select count(*) filter (where ${c}::text = ${victim})::int as foreign from ${t}`
            await client.query({ name: 'probe', text: 'select 1' })
            for (const tenant of [arena.victim, arena.attacker]) {
              await client.query('begin')
              for (const context of await arena.library.contextOf(tenant))
                await client.query(context.text, [...context.values])
              const { rows } = await client.query({ name: 'cached', text })
              if (tenant === arena.attacker) return rows[0]?.foreign as number
              await client.query('commit')
            }
            return 0
          }),
        judgeForeign,
      ),
  },
  {
    id: 'RLS-32',
    title: 'Read through a cursor, forwards and backwards',
    arena: 'whole',
    weakness: 'open',
    cells: (facts) => tenantTables(facts, 'cursor'),
    attempt: (arena, cell) =>
      expectRefusal(
        () =>
          arena.library.attempt(arena.attacker, async (db) => {
            const { t, c } = spliceOf(arena, cell)
            await db.query(`declare rows scroll cursor for select ${c}::text as tenant from ${t}`)
            const forwards = await db.query('fetch all from rows')
            const backwards = await db.query('fetch backward all from rows')
            return [...forwards.rows, ...backwards.rows].filter(({ tenant }) => tenant === arena.victim.id).length
          }),
        judgeForeign,
      ),
  },
]

function fromShape(shape: Shape): Attack {
  return {
    id: shape.id,
    title: shape.title,
    arena: 'whole',
    weakness: 'open',
    cells: (facts) =>
      tenantTables(facts, shape.verb).map((cell) => {
        const notApplicable = cell.table === undefined ? undefined : shape.only?.(cell.table)
        return notApplicable === undefined ? cell : { ...cell, notApplicable }
      }),
    attempt: (arena, cell) =>
      expectRefusal(
        () => arena.library.asTenant(arena.attacker, shape.sql(spliceOf(arena, cell))),
        ({ rows }) => judgeForeign(rows[0]?.foreign),
      ),
  }
}

function spliceOf(arena: Arena, { table }: Cell): Splice {
  if (table === undefined) throw new Error('Cannot attack a cell without a table')
  return { t: table.name, c: tenantColumnOf(table), victim: `'${arena.victim.id}'` }
}

async function withoutContext(arena: Arena, cell: Cell, before: readonly string[]): Promise<Attempt> {
  const { t } = spliceOf(arena, cell)
  return expectRefusal(
    () =>
      arena.raw(async (client) => {
        await client.query('begin')
        for (const sql of before) await client.query(spoken(arena, sql))
        return client.query(`select count(*)::int as foreign from ${t}`)
      }),
    ({ rows }) =>
      Number(rows[0]?.foreign) > 0
        ? judgeForeign(rows[0]?.foreign)
        : { ...leaked('no error: an empty answer hides that the tenant is missing'), silent: true },
  )
}

/** Reads a COPY as text. The protocol's messages are enough: nothing is parsed. */
async function copyOut(client: import('pg').Client, sql: string): Promise<string> {
  const { to } = await import('pg-copy-streams')
  let text = ''
  for await (const chunk of client.query(to(sql))) text += String(chunk)
  return text
}
