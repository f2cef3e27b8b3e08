/** Attacks on the tenant context itself, and on the connections it travels on. */

import { randomBytes } from 'node:crypto'
import type { Client } from 'pg'
import { quoted } from '../../seed/quoted.ts'
import type { SchemaFacts, TableFacts } from '../../seed/schema-facts.ts'
import { type Arena, spoken, tenantColumnOf } from '../arena.ts'
import { type Attack, type Attempt, expectRefusal, leaked, onDatabase, refused } from '../attack.ts'

/** Where the parts of a seal are: the layout is described at the view `rowhouse.sealed`. */
const MAC = 64
const TENANT_END = 100
const EPOCH_END = 109
const EXPIRY_START = 115
const EXPIRY_END = 125

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
    id: 'APP-23',
    verb: 'another epoch',
    title: 'Come with the context of an earlier placement',
    make: (own, victim) => `${own.slice(0, MAC)}${victim}${'0'.repeat(8)}9${own.slice(EPOCH_END)}`,
  },
  {
    id: 'CTX-07',
    verb: 'another key',
    title: 'Come with a key version that does not exist',
    make: (own, victim) =>
      `${own.slice(0, MAC)}${victim}${own.slice(TENANT_END, EPOCH_END)}999999${own.slice(EXPIRY_START)}`,
  },
  {
    id: 'APP-22',
    verb: 'later expiry',
    title: 'Make a seal last longer',
    make: (own, victim) =>
      `${own.slice(0, MAC)}${victim}${own.slice(TENANT_END, EXPIRY_START)}9999999999${own.slice(EXPIRY_END)}`,
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
    readAs(arena, forgedBy(arena, forgery, await sealOf(arena)), requireTable(table)),
}))

const switches: readonly Attack[] = SWITCHES.map(([verb, sql]) => ({
  id: 'CTX-07',
  title: `Become another tenant within one statement, ${verb}`,
  arena: 'whole',
  weakness: 'unsigned',
  cells: (facts) => firstTable(facts, `switch ${verb}`),
  attempt: async (arena, { table }) => {
    const forged = forgedBy(arena, VICTIMS_NAME, await sealOf(arena))
    const set = spoken(arena, `set_config('rowhouse.seal', '${forged.replaceAll("'", "''")}', true)`)
    const read = `select count(*)::int as foreign from ${requireTable(table).name} where ${tenantColumnOf(requireTable(table))}::text = '${arena.victim.id}'`
    return expectRefusal(
      () => arena.library.asTenant(arena.attacker, sql(set, read)),
      ({ rows }) => judge(rows[0]?.foreign),
    )
  },
}))

export const contextAttacks: readonly Attack[] = [
  ...forgeries,
  ...switches,
  {
    id: 'CTX-11',
    title: 'Bring the context along in the startup packet',
    arena: 'whole',
    weakness: 'unsigned',
    cells: (facts) => firstTable(facts, 'startup options'),
    attempt: async (arena, { table }) => {
      const forged = forgedBy(arena, VICTIMS_NAME, await sealOf(arena))
      return expectRefusal(
        () =>
          arena.raw(async (client) => {
            await client.query(spoken(arena, `set session "rowhouse.seal" to '${forged.replaceAll("'", "''")}'`))
            return count(client, arena, requireTable(table))
          }),
        judge,
      )
    },
  },
  {
    id: 'CTX-08',
    title: 'Send two statements in one',
    arena: 'whole',
    weakness: 'careless',
    cells: () => onDatabase('stacked statements'),
    attempt: (arena) =>
      expectRefusal(
        () => arena.library.asTenant(arena.attacker, 'select 1; select 2'),
        () => leaked('both were run'),
      ),
  },
  {
    id: 'CTX-02',
    title: 'Find the context of the one before on the connection',
    arena: 'whole',
    weakness: 'careless',
    cells: (facts) => firstTable(facts, 'a statement without a tenant after one with'),
    attempt: async (arena, { table }) => {
      const { name } = requireTable(table)
      await arena.library.asTenant(arena.victim, `select count(*) from ${name}`)
      return expectRefusal(
        () => arena.library.withoutTenant(`select count(*)::int as foreign from ${name}`),
        ({ rows }) => judge(rows[0]?.foreign),
      )
    },
  },
  {
    id: 'CTX-02',
    title: 'Leave a context on the connection for the next one',
    arena: 'whole',
    weakness: 'careless',
    cells: (facts) => firstTable(facts, 'a context set for the session'),
    attempt: async (arena, { table }) => {
      const { name } = requireTable(table)
      const seal = await sealOf(arena)
      await arena.library
        .asTenant(arena.attacker, spoken(arena, `select set_config('rowhouse.seal', $1, false)`), [seal])
        .catch(() => {})
      return expectRefusal(
        () => arena.library.withoutTenant(`select count(*)::int as foreign from ${name}`),
        ({ rows }) =>
          Number(rows[0]?.foreign) > 0
            ? leaked(`${Number(rows[0]?.foreign)} rows of the one before`)
            : refused('no rows without a tenant'),
      )
    },
  },
  {
    id: 'CTX-18',
    title: 'Lose the asynchronous context while calls wait for a connection',
    arena: 'whole',
    weakness: 'careless',
    cells: (facts) => firstTable(facts, '200 calls of two tenants at once'),
    attempt: async (arena, { table }) => {
      const t = requireTable(table)
      const calls = Array.from({ length: 200 }, async (_, index) => {
        const tenant = index % 2 === 0 ? arena.attacker : arena.victim
        const { rows } = await arena.library.asTenant(
          tenant,
          `select distinct ${tenantColumnOf(t)}::text as tenant from ${t.name}`,
        )
        return rows.every(({ tenant: seen }) => seen === tenant.id)
      })
      // A call left waiting while others run is what the careless pool answers for whoever is running when it is free.
      const wrong = (await Promise.allSettled(calls)).filter(
        (call) => call.status === 'fulfilled' && !call.value,
      ).length
      return wrong > 0
        ? leaked(`${wrong} of 200 calls were answered for the other tenant`)
        : refused('200 of 200 for the right tenant')
    },
  },
  ...leftovers(),
]

/** What one tenant's statement could leave on the connection for the next, and how the next one would notice. */
function leftovers(): Attack[] {
  const states: readonly (readonly [
    id: Attack['id'],
    title: string,
    leave: string,
    look: string,
    from?: 'from behind the walls',
  ])[] = [
    [
      'CTX-15',
      'Leave another search path behind',
      `select set_config('search_path', 'pg_temp, public', false)`,
      `select (current_setting('search_path') like 'pg_temp%')::int as foreign`,
    ],
    [
      'SHR-05',
      'Leave statements without a time limit',
      `select set_config('statement_timeout', '0', false)`,
      `select (current_setting('statement_timeout') = '0')::int as foreign`,
    ],
    [
      'SHR-05',
      'Leave a huge work_mem behind',
      `select set_config('work_mem', '2000000', false)`,
      `select (current_setting('work_mem') = '2000000kB')::int as foreign`,
    ],
    [
      'ROL-03',
      'Leave row_security off',
      `select set_config('row_security', 'off', false)`,
      `select (current_setting('row_security') = 'off')::int as foreign`,
    ],
    [
      'ROL-01',
      'Leave the connection read-only',
      `select set_config('default_transaction_read_only', 'on', false)`,
      `select (current_setting('default_transaction_read_only') = 'on')::int as foreign`,
    ],
    [
      'SHR-02',
      'Leave an advisory lock on the connection',
      `select pg_advisory_lock(4242)`,
      `select count(*)::int as foreign from pg_catalog.pg_locks where locktype = 'advisory' and objid = 4242 and granted
          and database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())`,
      'from behind the walls',
    ],
    [
      'SHR-01',
      "Listen to other tenants' notifications",
      'listen rowhouse_planted',
      `select count(*)::int as foreign from pg_listening_channels()`,
    ],
    [
      'CTX-05',
      'Leave a prepared statement behind',
      `prepare planted as select 1`,
      `select count(*)::int as foreign from pg_catalog.pg_prepared_statements where name = 'planted'`,
    ],
    [
      'CTX-05',
      'Leave an open cursor behind',
      `declare planted cursor with hold for select 1`,
      `select count(*)::int as foreign from pg_catalog.pg_cursors where name = 'planted'`,
    ],
  ]
  return states.map(([id, title, leave, look, from]) => ({
    id,
    title,
    arena: 'whole',
    weakness: 'careless',
    cells: () => onDatabase(leave.slice(0, 60)),
    attempt: async (arena) => {
      await arena.library.asTenant(arena.attacker, leave).catch(() => {})
      return expectRefusal(
        async () => {
          if (from === undefined) return arena.library.asTenant(arena.victim, look)
          await arena.library.asTenant(arena.victim, 'select 1')
          return arena.admin.query(look)
        },
        ({ rows }) =>
          Number(rows[0]?.foreign) > 0 ? leaked('the next tenant found it') : refused('gone before the next statement'),
      )
    },
  }))
}

function firstTable(facts: SchemaFacts, verb: string) {
  const tables = facts.tables.filter(({ tenantColumn }) => tenantColumn !== undefined)
  const walled = tables.filter(({ walled }) => walled)
  const table = walled.find((candidate) => holdsBoth(facts, candidate)) ?? walled[0] ?? tables[0]
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

function requireTable(table: TableFacts | undefined): TableFacts {
  if (table === undefined) throw new Error('Cannot attack a cell without a table')
  return table
}

/** A library whose context is no seal has one way to forge it, which is its own. */
function forgedBy({ library, victim }: Arena, forgery: Forgery, own: string): string {
  return library.forge?.(own, victim) ?? forgery.make(own, victim.id)
}

async function sealOf(arena: Arena): Promise<string> {
  return String((await arena.library.contextOf(arena.attacker))[0]?.values[0])
}

/** Reads the victim's rows on a connection of its own, with a context the attacker made. */
function readAs(arena: Arena, seal: string, table: TableFacts): Promise<Attempt> {
  return expectRefusal(
    () =>
      arena.raw(async (client) => {
        await client.query('begin')
        await client.query(spoken(arena, `select set_config('rowhouse.seal', $1, true)`), [seal])
        return count(client, arena, table)
      }),
    judge,
  )
}

async function count(client: Client, arena: Arena, table: TableFacts): Promise<number> {
  const { rows } = await client.query(
    `select count(*)::int as foreign from ${table.name} where ${tenantColumnOf(table)}::text = $1`,
    [arena.victim.id],
  )
  return rows[0]?.foreign as number
}

function judge(foreign: unknown): Attempt {
  return Number(foreign) > 0 ? leaked(`${Number(foreign)} rows of the victim`) : refused('own rows only')
}
