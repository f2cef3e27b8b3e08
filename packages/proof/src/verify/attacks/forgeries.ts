/** Attacks with a tenant context that was made, changed or kept by somebody who was only given an own one. */

import { randomBytes } from 'node:crypto'
import type { Client } from 'pg'
import type { TableFacts } from '../../seed/schema-facts.ts'
import { type Arena, ownContextOf, spoken, tenantColumnOf } from '../arena.ts'
import { type Attack, type Attempt, expectRefusal, judgeForeign, leaked } from '../attack.ts'
import { firstTable, requireTable } from './first-table.ts'

/** Where the parts of a seal are: the layout is described at the view `rowhouse.sealed`. */
const MAC = 64
const TENANT_END = 100
const EPOCH_END = 109
const EXPIRY_START = 115
const EXPIRY_END = 125
const NEVER = '9'.repeat(EXPIRY_END - EXPIRY_START)

/** A context nobody was given, made from two that were: the attacker's own and, where it says so, a stolen shape. */
interface Forgery {
  readonly id: Attack['id']
  readonly title: string
  readonly verb: string
  readonly make: (own: string, victimId: string) => string
}

const VICTIMS_NAME: Forgery = {
  id: 'CTX-07',
  verb: "own signature, victim's name",
  title: "Put the victim's id into the own seal",
  make: (own, victim) => own.slice(0, MAC) + victim + own.slice(TENANT_END),
}

const FORGERIES: readonly Forgery[] = [
  VICTIMS_NAME,
  {
    id: 'CTX-07',
    verb: 'random signature',
    title: 'Guess the signature',
    make: (own, victim) => randomBytes(32).toString('hex') + victim + own.slice(TENANT_END),
  },
  {
    id: 'CTX-07',
    verb: 'no signature',
    title: 'Leave the signature out',
    make: (own, victim) => ' '.repeat(MAC) + victim + own.slice(TENANT_END),
  },
  {
    id: 'CTX-07',
    verb: 'signature of zeros',
    title: 'Sign with zeros',
    make: (own, victim) => '0'.repeat(MAC) + victim + own.slice(TENANT_END),
  },
  {
    id: 'CTX-07',
    verb: 'capitals',
    title: 'Write the signature another way',
    make: (own, victim) => own.slice(0, MAC).toUpperCase() + victim + own.slice(TENANT_END),
  },
  {
    id: 'CTX-07',
    verb: 'another key',
    title: 'Come with a key version that does not exist',
    make: (own, victim) =>
      `${own.slice(0, MAC)}${victim}${own.slice(TENANT_END, EPOCH_END)}999999${own.slice(EXPIRY_START)}`,
  },
]

/** Ways of a single statement to change the setting before the table is read. */
const SWITCHES: readonly (readonly [verb: string, sql: (set: string, read: string) => string])[] = [
  ['in a sub-select', (set, read) => `select (${read}) as foreign from (select ${set} offset 0) x`],
  [
    'in a CTE',
    (set, read) => `with x as materialized (select ${set} as s) select (${read}) as foreign from x where s is not null`,
  ],
  ['in the WHERE', (set, read) => `${read} and ${set} is not null`],
  [
    'in a lateral join',
    (set, read) =>
      `select y.foreign from (select ${set} as s offset 0) x cross join lateral (select (${read}) as foreign where x.s is not null) y`,
  ],
]

const forgeries: readonly Attack[] = FORGERIES.map((forgery) => ({
  id: forgery.id,
  title: forgery.title,
  arena: 'whole',
  weakness: 'unsigned',
  cells: (facts) => firstTable(facts, forgery.verb),
  attempt: async (arena, { table }) =>
    readAs(arena, forgedBy(arena, forgery, await ownContextOf(arena)), requireTable(table)),
}))

const switches: readonly Attack[] = SWITCHES.map(([verb, sql]) => ({
  id: 'CTX-07',
  title: `Become another tenant within one statement, ${verb}`,
  arena: 'whole',
  weakness: 'unsigned',
  cells: (facts) => firstTable(facts, `switch ${verb}`),
  attempt: async (arena, { table }) => {
    const forged = forgedBy(arena, VICTIMS_NAME, await ownContextOf(arena))
    const set = spoken(arena, `set_config('rowhouse.seal', '${forged.replaceAll("'", "''")}', true)`)
    const read = `select count(*)::int as foreign from ${requireTable(table).name} where ${tenantColumnOf(requireTable(table))}::text = '${arena.victim.id}'`
    return expectRefusal(
      () => arena.library.asTenant(arena.attacker, sql(set, read)),
      ({ rows }) => judgeForeign(rows[0]?.foreign),
    )
  },
}))

export const forgeryAttacks: readonly Attack[] = [
  ...forgeries,
  ...switches,
  {
    id: 'CTX-11',
    title: 'Bring the context along in the startup packet',
    arena: 'whole',
    weakness: 'unsigned',
    cells: (facts) => firstTable(facts, 'startup options'),
    attempt: async (arena, { table }) => {
      const forged = forgedBy(arena, VICTIMS_NAME, await ownContextOf(arena))
      return expectRefusal(
        () => arena.raw((client) => count(client, arena, requireTable(table)), startupOption(arena, forged)),
        judgeForeign,
      )
    },
  },
  {
    id: 'APP-22',
    title: 'Make a seal last longer',
    arena: 'whole',
    weakness: 'unsigned',
    place: 'own',
    cells: (facts) => firstTable(facts, 'later expiry'),
    attempt: async (arena, { table }) => {
      const own = await ownContextOf(arena)
      return useOwn(arena, own.slice(0, EXPIRY_START) + NEVER + own.slice(EXPIRY_END), requireTable(table))
    },
  },
  {
    id: 'APP-23',
    title: 'Come with the context of an earlier placement',
    arena: 'whole',
    weakness: 'unsigned',
    place: 'own',
    cells: (facts) => firstTable(facts, 'another epoch'),
    attempt: async (arena, { table }) => {
      const own = await ownContextOf(arena)
      await moveEpoch(arena, 1)
      try {
        return await useOwn(arena, own, requireTable(table))
      } finally {
        await moveEpoch(arena, -1)
      }
    },
  },
]

/** The tenant is what the setting says before any statement; a space would end the option. */
function startupOption(arena: Arena, context: string): string {
  return `-c ${spoken(arena, 'rowhouse.seal')}=${context.replace(/[\\\s]/g, '\\$&')}`
}

/** Reads with a context of the attacker's own that should be worth nothing: what it would show is the attacker's. */
function useOwn(arena: Arena, context: string, { name }: TableFacts): Promise<Attempt> {
  return expectRefusal(
    () =>
      withContext(arena, context, async (client) => {
        const { rows } = await client.query(`select count(*)::int as seen from ${name}`)
        return Number(rows[0]?.seen)
      }),
    (seen) =>
      seen > 0
        ? leaked(`accepted: ${seen} rows`)
        : { ...leaked('no error: an empty answer hides that the context is not accepted'), silent: true },
  )
}

/** As a move of the attacker would; only this copy of the database is told. */
async function moveEpoch({ admin, attacker }: Arena, by: 1 | -1): Promise<void> {
  const { rowCount } = await admin.query('update rowhouse.resident set epoch = epoch + $1 where tenant_id = $2', [
    by,
    attacker.id,
  ])
  if (rowCount !== 1) throw new Error('Cannot end a placement: the attacker does not live in this database')
}

/** A library whose context is no seal has one way to forge it, which is its own. */
function forgedBy({ library, victim }: Arena, forgery: Forgery, own: string): string {
  return library.forge?.(own, victim) ?? forgery.make(own, victim.id)
}

/** Reads the victim's rows on a connection of its own, with a context the attacker made. */
function readAs(arena: Arena, context: string, table: TableFacts): Promise<Attempt> {
  return expectRefusal(() => withContext(arena, context, (client) => count(client, arena, table)), judgeForeign)
}

function withContext<T>(arena: Arena, context: string, fn: (client: Client) => Promise<T>): Promise<T> {
  return arena.raw(async (client) => {
    await client.query('begin')
    await client.query(spoken(arena, `select set_config('rowhouse.seal', $1, true)`), [context])
    return fn(client)
  })
}

async function count(client: Client, arena: Arena, table: TableFacts): Promise<number> {
  const { rows } = await client.query(
    `select count(*)::int as foreign from ${table.name} where ${tenantColumnOf(table)}::text = $1`,
    [arena.victim.id],
  )
  return rows[0]?.foreign as number
}
