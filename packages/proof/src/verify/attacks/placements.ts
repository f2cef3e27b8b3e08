/**
 * Attacks on where tenants live: one login, one server, and schemas or databases that only the seal keeps apart. Each
 * wants an error: an empty answer would tell a misrouted application that its tenant has no rows.
 */

import type { Client } from 'pg'
import type { TableFacts } from '../../seed/schema-facts.ts'
import { insertSql, NOBODYS } from '../../seed/seed-rows.ts'
import { type Arena, rowOf, tenantColumnOf } from '../arena.ts'
import { type Attack, type Attempt, expectRefusal, leaked, onDatabase } from '../attack.ts'
import type { Pair } from '../placing.ts'
import { firstTable, requireTable } from './first-table.ts'

const SHARED = 'public'

/** The search path with the home of one of the two in front. */
function pathTo(home: string | undefined): string {
  return home === undefined ? SHARED : `${home}, ${SHARED}`
}

/** Without its schema: where it lies, the search path says. */
function bareName({ name }: TableFacts): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

/** Any row is one of the victim's or of nobody, and no row is the wrong answer, too. */
function judgeAnswered(seen: unknown): Attempt {
  return Number(seen) > 0
    ? leaked(`${Number(seen)} rows`)
    : { ...leaked('no error: an empty answer hides that the tenant lives elsewhere'), silent: true }
}

async function asAttacker<T>(arena: Arena, fn: (client: Client) => Promise<T>): Promise<T> {
  return arena.raw(async (client) => {
    await client.query('begin')
    for (const { text, values } of await arena.library.contextOf(arena.attacker)) await client.query(text, [...values])
    return fn(client)
  })
}

const seenBy = async (client: Client, sql: string) => (await client.query<{ seen: number }>(sql)).rows[0]?.seen

/** A home can be named only where there is one. */
function unlessHome({ victim }: Pair): string | undefined {
  return victim === 'schema' ? undefined : 'the victim has no schema of its own'
}

export const placementAttacks: readonly Attack[] = [
  {
    id: 'PLC-01',
    title: "Come with the own seal and the victim's search path",
    arena: 'whole',
    weakness: 'open',
    cells: (facts) => firstTable(facts, 'select by a bare name'),
    attempt: (arena, { table }) =>
      expectRefusal(
        () =>
          asAttacker(arena, async (client) => {
            await client.query(`select set_config('search_path', $1, true)`, [pathTo(arena.homes.victim)])
            return seenBy(client, `select count(*)::int as seen from ${bareName(requireTable(table))}`)
          }),
        judgeAnswered,
      ),
  },
  {
    id: 'PLC-02',
    title: "Change the search path to the victim's inside a transaction of the library",
    arena: 'whole',
    weakness: 'open',
    cells: (facts) => firstTable(facts, 'set_config, then select'),
    attempt: (arena, { table }) =>
      expectRefusal(
        () =>
          arena.library.attempt(arena.attacker, async (db) => {
            await db.query(`select set_config('search_path', $1, true)`, [pathTo(arena.homes.victim)])
            const { rows } = await db.query(`select count(*)::int as seen from ${bareName(requireTable(table))}`)
            return rows[0]?.seen as number
          }),
        judgeAnswered,
      ),
  },
  {
    id: 'PLC-03',
    title: 'Change the search path within one statement, and have a text read by it',
    arena: 'whole',
    weakness: 'open',
    cells: (facts) => firstTable(facts, 'query_to_xml'),
    attempt: (arena, { table }) => {
      const t = requireTable(table)
      const read = `select ${tenantColumnOf(t)} from ${bareName(t)}`.replaceAll("'", "''")
      return expectRefusal(
        () =>
          arena.library.asTenant(
            arena.attacker,
            `select (select count(*) from regexp_matches(query_to_xml(case when x.path is not null then '${read}' end, true, false, '')::text, $2, 'g'))::int as seen
               from (select set_config('search_path', $1, true) as path offset 0) x`,
            [pathTo(arena.homes.victim), arena.victim.id],
          ),
        ({ rows }) => judgeAnswered(rows[0]?.seen),
      )
    },
  },
  {
    id: 'PLC-04',
    title: "Use a context on a home that one's own is no longer",
    arena: 'whole',
    weakness: 'open',
    place: 'own',
    cells: (facts) => firstTable(facts, 'the seal of before, after the home has changed'),
    attempt: async (arena, { table }) => {
      const elsewhere = arena.homes.attacker === undefined ? 't_elsewhere_000000000001' : null
      const move = (home: string | null) =>
        arena.admin.query('update rowhouse.resident set home = $1 where tenant_id = $2', [home, arena.attacker.id])
      if ((await move(elsewhere)).rowCount !== 1) throw new Error('Cannot move the attacker: it does not live here')
      try {
        return await expectRefusal(
          () =>
            asAttacker(arena, (client) =>
              seenBy(client, `select count(*)::int as seen from ${requireTable(table).name}`),
            ),
          judgeAnswered,
        )
      } finally {
        await move(arena.homes.attacker ?? null)
      }
    },
  },
  {
    id: 'PLC-05',
    title: 'Write to the shared table of the same name from a schema of its own',
    // Read, an empty table has no row that the policy could refuse.
    arena: 'bare',
    weakness: 'open',
    notFor: ({ attacker }) => (attacker === 'schema' ? undefined : 'the attacker has no schema of its own'),
    cells: (facts) => firstTable(facts, 'insert by the shared name'),
    attempt: (arena, { table }) => {
      const t = requireTable(table)
      const sql = insertSql(t, rowOf(arena, t, arena.attacker, NOBODYS), `${SHARED}.${bareName(t)}`)
      return expectRefusal(
        () => arena.library.attempt(arena.attacker, (db) => db.query(sql)),
        () => leaked('the row is in a table the tenant does not live beside'),
      )
    },
  },
  {
    id: 'PLC-06',
    title: 'Execute what was prepared for the victim',
    arena: 'whole',
    weakness: 'open',
    cells: (facts) => firstTable(facts, 'a prepared statement of another home'),
    attempt: (arena, { table }) =>
      expectRefusal(
        () =>
          arena.raw(async (client) => {
            await client.query(`select set_config('search_path', $1, false)`, [pathTo(arena.homes.victim)])
            const prepared = {
              name: 'shared',
              text: `select count(*)::int as seen from ${bareName(requireTable(table))}`,
            }
            for (const tenant of [arena.victim, arena.attacker]) {
              await client.query('begin')
              for (const { text, values } of await arena.library.contextOf(tenant))
                await client.query(text, [...values])
              const { rows } = await client.query(prepared)
              if (tenant === arena.attacker) return rows[0]?.seen as number
              await client.query('commit')
            }
            return 0
          }),
        judgeAnswered,
      ),
  },
  {
    id: 'PLC-07',
    title: "Create a table in the victim's schema, in front of the shared ones",
    arena: 'whole',
    weakness: 'generous-owner',
    notFor: unlessHome,
    cells: () => onDatabase('create table in the home'),
    attempt: (arena) =>
      expectRefusal(
        () =>
          asAttacker(arena, async (client) => {
            await client.query(`create table ${arena.homes.victim ?? SHARED}.planted (id int)`)
            await client.query('rollback')
          }),
        () => leaked("a table stands in the victim's search path"),
      ),
  },
  {
    id: 'PLC-08',
    title: "Take the victim's schema away, or give it another name",
    arena: 'whole',
    weakness: 'role-attributes',
    notFor: unlessHome,
    cells: () => onDatabase('rename the home'),
    attempt: (arena) =>
      expectRefusal(
        () =>
          asAttacker(arena, async (client) => {
            await client.query(`alter schema ${arena.homes.victim ?? SHARED} rename to planted`)
            await client.query('rollback')
          }),
        () => leaked('the schema was renamed'),
      ),
  },
  ...readingTheRegistry(),
]

/** Where others live, and on which servers, is the registry's to know. */
function readingTheRegistry(): Attack[] {
  const tables = {
    placement: 'where every tenant lives is known',
    server: 'the servers and where their secrets are kept are known',
    fleet_home: 'the homes of all tenants are known',
    applied_migration: 'the homes of all tenants of this database are known',
  }
  return Object.entries(tables).map(([table, means]) => ({
    id: 'PLC-09' as const,
    title: `Read the registry: ${table}`,
    arena: 'whole' as const,
    weakness: 'role-attributes' as const,
    cells: () => onDatabase(`select from rowhouse.${table}`),
    attempt: (arena: Arena) =>
      expectRefusal(
        () => asAttacker(arena, (client) => client.query(`select * from rowhouse.${table}`)),
        () => leaked(means),
      ),
  }))
}
