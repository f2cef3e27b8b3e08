/** Attacks that go around a table: through views, functions, foreign tables, new objects, the file system. */

import type { SchemaFacts } from '../../seed/schema-facts.ts'
import { type Arena, type Library, spoken } from '../arena.ts'
import {
  type Attack,
  type Attempt,
  assertRefusal,
  type Cell,
  expectRefusal,
  leaked,
  onDatabase,
  refused,
  sqlstateOf,
} from '../attack.ts'

/** A statement that must fail on the application's connection, and what its success means. */
interface Forbidden {
  readonly id: Attack['id']
  readonly title: string
  readonly verb: string
  readonly sql: string
  readonly means: string
  readonly weakness: Attack['weakness']
}

const FORBIDDEN: readonly Forbidden[] = [
  {
    id: 'RLS-21',
    verb: 'create temporary table',
    title: 'Shadow a table with a temporary one',
    sql: 'create temporary table shadow (id int)',
    means: 'temporary tables can be made, and come first in every search path',
    weakness: 'generous-owner',
  },
  {
    id: 'RLS-18',
    verb: 'create table',
    title: 'Copy rows into a table of its own',
    sql: 'create table public.planted (id int)',
    means: 'the application can create tables, which no policy guards',
    weakness: 'generous-owner',
  },
  {
    id: 'RLS-21',
    verb: 'create function',
    title: 'Put a function in the way',
    sql: 'create function public.planted() returns int language sql as $$ select 1 $$',
    means: 'the application can create functions',
    weakness: 'generous-owner',
  },
  {
    id: 'RLS-16',
    verb: 'create view',
    title: 'Make a view that reads as its owner',
    sql: 'create view public.planted as select 1 as one',
    means: 'the application can create views',
    weakness: 'generous-owner',
  },
  {
    id: 'ROL-08',
    verb: 'create schema',
    title: 'Make a schema',
    sql: 'create schema planted',
    means: 'the application can create schemas',
    weakness: 'generous-owner',
  },
  {
    id: 'RLS-41',
    verb: 'create operator',
    title: 'Make an operator that sees rows before the policy',
    sql: 'create operator public.=== (leftarg = text, rightarg = text, function = pg_catalog.texteq)',
    means: 'the application can create operators',
    weakness: 'role-attributes',
  },
  {
    id: 'RLS-35',
    verb: 'create publication',
    title: "Publish everybody's rows",
    sql: 'create publication planted for all tables',
    means: 'a publication of all tables is made',
    weakness: 'role-attributes',
  },
  {
    id: 'RLS-35',
    verb: 'create slot',
    title: 'Read the write-ahead log',
    sql: `select pg_create_physical_replication_slot('rowhouse_planted', false, true)`,
    means: 'a replication slot is made',
    weakness: 'role-attributes',
  },
  {
    id: 'RLS-31',
    verb: 'copy to program',
    title: 'Run a program on the server',
    sql: `copy (select 1) to program 'cat > /dev/null'`,
    means: 'a program was run',
    weakness: 'role-attributes',
  },
  {
    id: 'RLS-31',
    verb: 'read a file',
    title: "Read the server's files",
    sql: `select pg_read_file('PG_VERSION')`,
    means: 'a file was read',
    weakness: 'role-attributes',
  },
  {
    id: 'RLS-30',
    verb: 'change an extension',
    title: 'Change what the operator has loaded',
    sql: 'alter extension plpgsql update',
    means: 'extensions can be changed',
    weakness: 'role-attributes',
  },
  {
    id: 'RLS-30',
    verb: 'large object',
    title: 'Keep data where no policy looks',
    sql: `select lo_put(lo_create(0), 0, '\\x00')`,
    means: 'large objects can be written',
    weakness: 'role-attributes',
  },
  {
    id: 'ROL-11',
    verb: 'create role',
    title: 'Make a role that may more',
    sql: 'create role rowhouse_planted bypassrls',
    means: 'roles can be made',
    weakness: 'role-attributes',
  },
  {
    id: 'ROL-12',
    verb: 'create language',
    title: 'Load a language that reaches the system',
    sql: 'create or replace trusted language plpgsql handler plpgsql_call_handler',
    means: 'languages can be made',
    weakness: 'role-attributes',
  },
  {
    id: 'CTX-10',
    verb: 'alter role set',
    title: 'Give everybody the victim as their default tenant',
    sql: `alter role current_user set "rowhouse.seal" = 'x'`,
    means: 'the default context is set for every later connection',
    weakness: 'role-attributes',
  },
  {
    id: 'ROL-04',
    verb: 'alter role bypassrls',
    title: 'Give itself BYPASSRLS',
    sql: 'alter role current_user bypassrls',
    means: 'the application passes every policy',
    weakness: 'role-attributes',
  },
  {
    id: 'SHR-06',
    verb: 'session_replication_role',
    title: 'Switch triggers and foreign keys off',
    sql: 'set local session_replication_role = replica',
    means: 'triggers and foreign keys are off',
    weakness: 'role-attributes',
  },
  {
    id: 'ROL-08',
    verb: 'alter database',
    title: 'Change the defaults of all connections',
    sql: `do $$ begin execute format('alter database %I set search_path = pg_temp', current_database()); end $$`,
    means: "everybody's search path is changed",
    weakness: 'role-attributes',
  },
  {
    id: 'CTX-07',
    verb: 'read keys',
    title: 'Read the keys that seals are made with',
    sql: 'select ipad, opad from rowhouse.resident',
    means: 'the keys of all tenants are known',
    weakness: 'role-attributes',
  },
  {
    id: 'CTX-07',
    verb: 'read stamps',
    title: 'Read the accepted seals',
    sql: 'select * from rowhouse.accepted_stamp',
    means: 'the keys of all tenants are known',
    weakness: 'role-attributes',
  },
  {
    id: 'ROL-07',
    verb: 'list tenants',
    title: 'List the tenants of the platform',
    sql: 'select slug, name from rowhouse.tenant',
    means: 'the names of all customers are known',
    weakness: 'role-attributes',
  },
  {
    id: 'SHR-02',
    verb: 'read lock keys',
    title: "Read the key of another tenant's lock, to hold it",
    sql: 'select objid from pg_catalog.pg_locks',
    means: 'the locks of all tenants are known, and can be held',
    weakness: 'role-attributes',
  },
  {
    id: 'CTX-17',
    verb: 'end a backend',
    title: "End another tenant's connection",
    sql: 'select pg_terminate_backend(0)',
    means: 'backends of the same login can be ended',
    weakness: 'role-attributes',
  },
  {
    id: 'WEB-14',
    verb: 'read api keys',
    title: 'Read the hashes of API keys',
    sql: 'select id, secret_sha256 from rowhouse.api_key',
    means: 'the ids of all API keys are known',
    weakness: 'role-attributes',
  },
  {
    id: 'WEB-23',
    verb: 'read crossings',
    title: 'Read or forge the log of work across tenants',
    sql: 'select actor, reason from rowhouse.crossing',
    means: 'the log is readable by every tenant',
    weakness: 'role-attributes',
  },
]

const forbiddenAttacks: readonly Attack[] = FORBIDDEN.map(({ id, title, verb, sql, means, weakness }) => ({
  id,
  title,
  arena: 'whole',
  weakness,
  cells: () => onDatabase(verb),
  attempt: (arena) =>
    expectRefusal(
      () => rolledBack(arena, spoken(arena, sql)),
      () => leaked(means),
    ),
}))

/** Runs one statement on a connection of the application, with the attacker's context, and takes it back. */
function rolledBack(arena: Arena, sql: string): Promise<unknown> {
  return arena.raw(async (client) => {
    await client.query('begin')
    for (const { text, values } of await arena.library.contextOf(arena.attacker)) await client.query(text, [...values])
    try {
      return await client.query(sql)
    } finally {
      await client.query('rollback')
    }
  })
}

export const aroundAttacks: readonly Attack[] = [
  ...forbiddenAttacks,
  {
    id: 'RLS-16',
    title: 'Read through a view that reads as its owner',
    arena: 'whole',
    weakness: 'open',
    cells: (facts) =>
      facts.views.filter((view) => view.columns.length > 0).map(({ name }) => ({ target: name, verb: 'select' })),
    attempt: (arena, { target }) => compareWithAlone(arena, `select x::text as row from ${target} x`),
  },
  {
    id: 'RLS-17',
    title: 'Read a materialized view, which holds the rows of all',
    arena: 'whole',
    weakness: 'open',
    cells: (facts) => facts.materializedViews.map(({ name }) => ({ target: name, verb: 'select' })),
    attempt: async (arena, { target }) =>
      expectRefusal(
        () => arena.library.asTenant(arena.attacker, `select count(*)::int as foreign from ${target}`),
        ({ rows }) =>
          Number(rows[0]?.foreign) > 0 ? leaked('readable, and made of the rows of all tenants') : refused('empty'),
      ),
  },
  {
    id: 'RLS-19',
    title: 'Call a function that reads as its owner',
    arena: 'whole',
    weakness: 'open',
    cells: functionCells,
    attempt: (arena, { target }) => compareWithAlone(arena, `select x::text as row from ${target}() x`),
  },
  {
    id: 'RLS-29',
    title: 'Read a foreign table, which knows no tenant',
    arena: 'whole',
    weakness: 'open',
    cells: (facts) =>
      facts.foreignTables.map((target) => ({
        target,
        verb: 'select',
        notApplicable: 'a foreign table is not copied into the scratch database: doctor rule L19 judges it',
      })),
    attempt: async () => refused('not run'),
  },
  {
    id: 'RLS-44',
    title: 'Read a table the moment it is made',
    arena: 'whole',
    weakness: 'generous-owner',
    cells: (facts) => schemasOf(facts).map((target) => ({ target, verb: 'select from a new table' })),
    attempt: async (arena, { target }) => {
      const name = `${target}.rowhouse_verify_new`
      await arena.admin.query(`create table ${name} as select 1 as id`)
      try {
        return await expectRefusal(
          () => arena.raw((client) => client.query(`select * from ${name}`)),
          () => leaked('a new table is readable before it is protected'),
        )
      } finally {
        await arena.admin.query(`drop table ${name}`)
      }
    },
  },
]

function schemasOf(facts: SchemaFacts): string[] {
  return [
    ...new Set(
      facts.tables
        .filter(({ tenantColumn }) => tenantColumn !== undefined)
        .map(({ name }) => name.slice(0, name.lastIndexOf('.'))),
    ),
  ]
}

const CONTEXT_REFUSED = 'error: the seal is refused'

/** The wall itself said that the tenant does not live here; the attacker's seal is good wherever it does. */
function isContextRefused(error: unknown): boolean {
  const { constraint, cause } = error as { constraint?: unknown; cause?: { constraint?: unknown } }
  return (cause?.constraint ?? constraint) === 'rowhouse_context_refused'
}

/** Only functions without arguments can be called by somebody who does not know what they are for. */
function functionCells(facts: SchemaFacts): Cell[] {
  return facts.functions.map(({ name, executable, arguments: args }) => ({
    target: name,
    verb: 'call',
    ...(args.length > 0
      ? { notApplicable: `takes arguments (${args.join(', ')}): doctor rule L13 judges it` }
      : executable
        ? {}
        : { notApplicable: 'not executable by the application' }),
  }))
}

/**
 * The attacker must get what it gets where no other tenant is: the definition of isolation, for any statement. In a home
 * of the victim it must get an error, whatever lies there; that an empty table gives none is residual ORA-10.
 */
async function compareWithAlone(arena: Arena, sql: string): Promise<Attempt> {
  const answer = async (library: Library) => {
    try {
      const { rows } = await library.asTenant(arena.attacker, sql)
      return rows
        .map(({ row }) => String(row))
        .sort()
        .join('\n')
    } catch (error) {
      assertRefusal(error)
      return isContextRefused(error) ? CONTEXT_REFUSED : `error ${sqlstateOf(error)}`
    }
  }
  const [here, alone] = [await answer(arena.library), await answer(arena.alone)]
  return here === alone || here === CONTEXT_REFUSED
    ? refused(here.startsWith('error') ? here : 'the same as without other tenants')
    : leaked('another answer than without other tenants')
}
