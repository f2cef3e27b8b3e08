/** Attacks on the connections a tenant context travels on. */

import type { SchemaFacts } from '../../seed/schema-facts.ts'
import { type Arena, ownContextOf, spoken, tenantColumnOf } from '../arena.ts'
import {
  type Attack,
  type Attempt,
  assertRefusal,
  broken,
  type Cell,
  describe,
  expectRefusal,
  judgeForeign,
  leaked,
  onDatabase,
  refused,
} from '../attack.ts'
import { firstTable, requireTable } from './first-table.ts'

export const contextAttacks: readonly Attack[] = [
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
      await arena.library.asTenant(arena.victim, 'select 1')
      return expectRefusal(
        () => arena.library.withoutTenant(`select count(*)::int as foreign from ${name}`),
        ({ rows }) => judgeForeign(rows[0]?.foreign),
      )
    },
  },
  {
    id: 'CTX-02',
    title: 'Leave a context on the connection for the next one',
    arena: 'whole',
    weakness: 'careless',
    place: 'own',
    cells: (facts) => firstTable(facts, 'a context set for the session'),
    attempt: async (arena, { table }) => {
      const { name } = requireTable(table)
      const seal = await ownContextOf(arena)
      await arena.library
        .asTenant(arena.attacker, spoken(arena, `select set_config('rowhouse.seal', $1, false)`), [seal])
        .catch(assertRefusal)
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
    place: 'both',
    cells: (facts) => readableTable(facts, '200 calls of two tenants at once'),
    attempt: callAtOnce,
  },
  ...leftovers(),
]

/** Calls that are refused for want of a right are answered for no tenant at all. */
function readableTable(facts: SchemaFacts, verb: string): Cell[] {
  return firstTable(facts, verb).map((cell) =>
    cell.table === undefined || cell.table.readable
      ? cell
      : { ...cell, notApplicable: 'the application may not read it' },
  )
}

const CALLS = 200

/** A call left waiting while others run is what the careless pool answers for whoever is running when it is free. */
async function callAtOnce(arena: Arena, { table }: Cell): Promise<Attempt> {
  const t = requireTable(table)
  const sql = `select distinct ${tenantColumnOf(t)}::text as tenant from ${t.name}`
  const calls = Array.from({ length: CALLS }, async (_, index) => {
    const tenant = index % 2 === 0 ? arena.attacker : arena.victim
    const { rows } = await arena.library.asTenant(tenant, sql)
    return rows.every(({ tenant: seen }) => seen === tenant.id)
  })
  const ended = await Promise.allSettled(calls)
  const wrong = ended.filter((call) => call.status === 'fulfilled' && !call.value).length
  if (wrong > 0) return leaked(`${wrong} of ${CALLS} calls were answered for the other tenant`)
  const failed = ended.filter((call) => call.status === 'rejected')
  return failed[0] === undefined
    ? refused(`${CALLS} of ${CALLS} for the right tenant`)
    : broken(`${failed.length} of ${CALLS} calls were not answered, the first with ${describe(failed[0].reason)}`)
}

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
      await arena.library.asTenant(arena.attacker, leave).catch(assertRefusal)
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
