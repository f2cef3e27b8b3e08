import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { findIsolationWork } from '../../src/fleet/migration.ts'
import {
  assertUnchanged,
  findLate,
  type ReadMigrationsOptions,
  readMigrations,
} from '../../src/fleet/migration-folder.ts'

const root = mkdtempSync(join(tmpdir(), 'rowhouse-migrations-'))
afterAll(() => rmSync(root, { recursive: true }))

let folders = 0

/** Writes a folder of files and returns its path. */
function folderOf(files: Readonly<Record<string, string | Uint8Array>>): string {
  folders += 1
  const folder = join(root, String(folders))
  mkdirSync(folder)
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  return folder
}

const read = (files: Readonly<Record<string, string | Uint8Array>>, options?: ReadMigrationsOptions) =>
  readMigrations(folderOf(files), options)

const TABLE = 'create table leg (tenant_id uuid not null, id bigint, primary key (tenant_id, id));'

describe('readMigrations() of plain files', () => {
  it('orders by number, not by letter, and takes the names apart', async () => {
    const found = await read({
      '10-c.sql': TABLE,
      '2_b.sql': TABLE,
      'V1.10__a2.sql': TABLE,
      'V1.9__a1.sql': TABLE,
      '20260114093000123.up.sql': TABLE,
      'README.md': '',
      '2_b.down.sql': 'drop table leg',
      'U1__undo.sql': 'x',
    })
    expect(found.map(({ id, number, name }) => [id, number, name])).toEqual([
      ['V1.9__a1', '1.9', 'a1'],
      ['V1.10__a2', '1.10', 'a2'],
      ['2_b', '2', 'b'],
      ['10-c', '10', 'c'],
      ['20260114093000123', '20260114093000123', ''],
    ])
  })

  it('splits statements by bytes, with lines, around comments, quotes and function bodies', async () => {
    const text = [
      '-- Änderung 🚢; not a statement',
      "insert into a values ('ö;🚢'); update a set b = $$;$$",
      '  /* ; */ where true;',
      'create function f() returns int language sql begin atomic select 1; select 2; end;',
      ';;',
      '',
      'select 1 -- end',
    ].join('\n')
    const [found] = await read({ '1.sql': text })
    expect(found?.statements.map(({ text: each, line, kind }) => [line, kind, each])).toEqual([
      [2, 'InsertStmt', "insert into a values ('ö;🚢')"],
      [2, 'UpdateStmt', 'update a set b = $$;$$\n  /* ; */ where true'],
      [4, 'CreateFunctionStmt', 'create function f() returns int language sql begin atomic select 1; select 2; end'],
      [7, 'SelectStmt', 'select 1 -- end'],
    ])
  })

  it('says what the runner has to know of each statement', async () => {
    const text = [
      '-- rowhouse: no-transaction',
      TABLE,
      'create table part partition of leg default;',
      'create temporary table t (a int);',
      'create unique index concurrently if not exists leg_i on leg (tenant_id, id);',
      'drop index concurrently if exists leg_j;',
      'reindex (concurrently) table leg;',
      'vacuum leg;',
      'alter table leg detach partition part concurrently;',
      'with q as (select * from other) insert into leg select * from q;',
      'drop table if exists gone, went;',
      'refresh materialized view concurrently m;',
      "alter type e add value 'x';",
    ].join('\n')
    const [found] = await read({ '1.sql': text })
    expect(found?.transactional).toBe(false)
    expect(
      found?.statements.map((each) => [
        each.kind,
        each.needsNoTransaction,
        each.creates?.name,
        each.creates?.partitionOf,
        each.concurrentIndex,
        each.touches,
      ]),
    ).toEqual([
      ['CreateStmt', false, 'leg', undefined, undefined, []],
      ['CreateStmt', false, 'part', 'leg', undefined, ['leg']],
      ['CreateStmt', false, undefined, undefined, undefined, ['t']],
      ['IndexStmt', true, undefined, undefined, 'leg_i', ['leg']],
      ['DropStmt', true, undefined, undefined, undefined, []],
      ['ReindexStmt', true, undefined, undefined, undefined, ['leg']],
      ['VacuumStmt', true, undefined, undefined, undefined, ['leg']],
      ['AlterTableStmt', true, undefined, undefined, undefined, ['leg', 'part']],
      ['InsertStmt', false, undefined, undefined, undefined, ['leg', 'other']],
      ['DropStmt', false, undefined, undefined, undefined, ['gone', 'went']],
      ['RefreshMatViewStmt', false, undefined, undefined, undefined, ['m']],
      ['AlterEnumStmt', false, undefined, undefined, undefined, []],
    ])
  })

  it('runs a file outside of a transaction when all of its statements ask for it', async () => {
    const [found] = await read({ '1.sql': 'create index concurrently i on leg (tenant_id);' })
    expect(found?.transactional).toBe(false)
  })

  it('reads phase and references, and knows them in later files', async () => {
    const found = await read({
      '1.sql':
        '-- rowhouse: phase expand\n-- rowhouse: reference port, "Odd One"\ncreate table port (id text primary key); create index port_i on port (id);',
      '2.sql':
        "drop index port_i; insert into port values ('x'); comment on column port.id is 'code'; insert into leg select 1 from port;",
      '3.sql':
        "-- rowhouse: phase contract\ncreate table fee (id int primary key); select rowhouse.publish_reference('fee'); alter table fee add column x int;",
    })
    expect(found.map(({ phase, references }) => [phase, references])).toEqual([
      ['expand', ['port', 'Odd One']],
      ['any', []],
      ['contract', ['fee']],
    ])
    expect(found.map(({ statements }) => statements.map((each) => each.shared))).toEqual([
      [true, true],
      [true, true, true, false],
      [true, true, true],
    ])
  })

  it('names a migration by its text, whatever the line ends, and the tables to protect', async () => {
    const [one] = await read({
      '1.sql': `${TABLE}\nalter table a rename to b;\nalter table c add column d int;\ndrop table c;`,
    })
    const [other] = await read({
      '1.sql': `\uFEFF${TABLE}\r\nalter table a rename to b;\r\nalter table c add column d int;\r\ndrop table c;`,
    })
    expect(one?.sha256).toBe(other?.sha256)
    expect(one && findIsolationWork(one)).toEqual({ protect: ['leg', 'b'], publish: [] })
  })
})

describe('readMigrations() of other tools', () => {
  it('follows the journal of drizzle-kit, its breakpoints, and takes its schema off', async () => {
    const journal = {
      version: '7',
      dialect: 'postgresql',
      entries: [
        { idx: 1, tag: '0001_later', when: 2 },
        { idx: 0, tag: '0000_first', when: 1 },
      ],
    }
    const found = await read({
      'meta/_journal.json': JSON.stringify(journal),
      '0000_first.sql':
        'CREATE TYPE "public"."mode" AS ENUM(\'public."x"\');--> statement-breakpoint\nCREATE TABLE "a" ("m" "public"."mode")\n--> statement-breakpoint\nCREATE TABLE "b" ("id" int);',
      '0001_later.sql':
        'ALTER TABLE "a" ADD CONSTRAINT "f" FOREIGN KEY ("m") REFERENCES "public"."b"("id") ON DELETE no action;',
    })
    expect(found.map(({ id, statements }) => [id, statements.map((each) => each.line)])).toEqual([
      ['0000_first', [1, 2, 4]],
      ['0001_later', [1]],
    ])
    expect(found[0]?.statements[0]?.text).toBe('CREATE TYPE          "mode" AS ENUM(\'public."x"\')')
    expect(found[1]?.statements[0]?.touches).toEqual(['a', 'b'])
  })

  it('reads the folders of Prisma', async () => {
    const found = await read({
      'migration_lock.toml': '# Do not edit\nprovider = "postgresql"\n',
      '20260102000000_b/migration.sql': TABLE,
      '20260101000000_a/migration.sql':
        '-- CreateSchema\nCREATE SCHEMA IF NOT EXISTS "public";\n\n-- CreateTable\nCREATE TABLE "User" ("id" INT);',
    })
    expect(found.map(({ id, name, statements }) => [id, name, statements.length])).toEqual([
      ['20260101000000_a', 'a', 1],
      ['20260102000000_b', 'b', 1],
    ])
  })

  it('reads the up part of node-pg-migrate, with the lines of the file', async () => {
    const found = await read({
      '1700000000000_a.sql': `-- Up Migration\n${TABLE}\n\n-- Down Migration\ndrop table leg;`,
      '1700000000001_b.sql': '-- Down Migration\ndrop table leg;\n---- Up Migration ----\nselect 1;',
      '1700000000002_c.sql': 'select 2;',
    })
    expect(found.map(({ statements }) => statements.map(({ line, text }) => [line, text.slice(0, 12)]))).toEqual([
      [[2, 'create table']],
      [[4, 'select 1']],
      [[1, 'select 2']],
    ])
  })

  it('reads a folder as it is told', async () => {
    const files = { '1.sql': '-- Up Migration\nselect 1;\n-- Down Migration\nselect 2;' }
    await expect(read(files, { format: 'plain' })).rejects.toMatchObject({
      code: 'ERR_MIGRATION_INVALID',
      message: expect.stringContaining('read the folder as node-pg-migrate'),
    })
    await expect(read(files, { format: 'sqlite' as 'plain' })).rejects.toThrow(
      /as "sqlite": wanted one of plain, drizzle, prisma, node-pg-migrate/,
    )
  })
})

describe('readMigrations() refuses', () => {
  it.each<[string, Record<string, string | Uint8Array>, string]>([
    ['an empty folder', {}, 'holds no migration of the format "plain"'],
    [
      'a file without a number',
      { 'users.sql': TABLE },
      'users.sql: has no number to order it by: call it 0001-users.sql',
    ],
    [
      'a repeatable migration',
      { 'R__view.sql': TABLE },
      'R__view.sql: is repeatable, and a fleet runs a file once: give it a number',
    ],
    ['a program', { '1_a.ts': '' }, '1_a.ts: is a program: a fleet runs SQL files only'],
    [
      'two files of one number',
      { '1-a.sql': TABLE, '01-b.sql': TABLE },
      '1-a.sql: has the number 1, as has "01-b.sql": give it the next free one',
    ],
    ['an empty file', { '1.sql': ' \n' }, '1.sql: the file is empty'],
    ['a file of comments', { '1.sql': '-- later' }, '1.sql:1:1: there is no statement in it'],
    ['a syntax error', { '1.sql': "-- ä🚢\nselect 'ö🚢', from from x" }, '1.sql:2:14: syntax error at or near "from"'],
    ['an open quote', { '1.sql': "select 1;\nselect 'a" }, '1.sql:2:8: unterminated quoted string at or near "\'a"'],
    ['nesting without end', { '1.sql': `select ${'('.repeat(20_000)}1${')'.repeat(20_000)}` }, 'memory exhausted'],
    ['a long chain', { '1.sql': `select ${'1+'.repeat(200_000)}1` }, "1.sql: PostgreSQL's parser gave up"],
    ['BEGIN', { '1.sql': `begin;\n${TABLE}\ncommit;` }, '1.sql:3:1: starts or ends a transaction'],
    ['SAVEPOINT', { '1.sql': 'savepoint a;' }, '1.sql:1:1: starts or ends a transaction'],
    [
      'CONCURRENTLY beside others',
      { '1.sql': `${TABLE}\n  create index concurrently i on leg (tenant_id);` },
      '1.sql:2:3: cannot run in a transaction, the other statements of the file do: give it a file of its own',
    ],
    [
      'a command of psql',
      { '1.sql': 'select 1;\n\\connect x' },
      '1.sql:2:1: "\\connect" is a command of psql, not SQL: take it out',
    ],
    ['a variable of psql', { '1.sql': "select :'name'" }, '1.sql:1:8: variables of psql are not SQL: write the value'],
    [
      'COPY with data',
      { '1.sql': 'copy leg from stdin;\n1\t2\n\\.\n' },
      'COPY FROM STDIN needs data that a migration cannot carry',
    ],
    ['COPY without', { '1.sql': 'copy leg from stdin;' }, 'COPY FROM STDIN needs data that a migration cannot carry'],
    ['COPY of files', { '1.sql': "copy leg to program 'cat'" }, 'COPY reads or writes files of the server'],
    ['CREATE DATABASE', { '1.sql': 'create database x' }, 'CREATE DATABASE concerns the server or the placement'],
    ['DROP ROLE', { '1.sql': 'drop role x' }, 'DROP ROLE concerns the server or the placement'],
    ['CREATE SCHEMA', { '1.sql': 'create schema x' }, 'CREATE SCHEMA concerns the server or the placement'],
    ['DROP SCHEMA', { '1.sql': 'drop schema x' }, 'DROP SCHEMA concerns the placement'],
    ['SET search_path', { '1.sql': 'set local search_path = x' }, 'sets search_path'],
    ['set_config of search_path', { '1.sql': "select set_config('search_path', 'x', true)" }, 'sets search_path'],
    ['another schema for a table', { '1.sql': 'alter table leg set schema x' }, 'moves something into the schema "x"'],
    [
      'text that is not UTF-8',
      { '1.sql': Buffer.from("select '\xe4'", 'latin1') },
      '1.sql: not UTF-8 text: save it as UTF-8',
    ],
    ['UTF-16', { '1.sql': Buffer.from('\uFEFFselect 1', 'utf16le') }, '1.sql: not UTF-8 text'],
    ['zero bytes', { '1.sql': "select 'a\0b'" }, '1.sql: not UTF-8 text'],
    [
      'a directive it does not know',
      { '1.sql': `${TABLE}\n-- rowhouse: fase expand` },
      '1.sql:2:1: "fase" is not known: wanted phase, no-transaction, reference or allow',
    ],
    [
      'a phase it does not know',
      { '1.sql': `-- rowhouse: phase later\n${TABLE}` },
      '"phase later" is not known: wanted "expand" or "contract"',
    ],
    [
      'two phases',
      { '1.sql': `-- rowhouse: phase expand\n-- rowhouse: phase contract\n${TABLE}` },
      '1.sql:2:1: a file has one phase',
    ],
    ['allow without a reason', { '1.sql': `-- rowhouse: allow M10\n${TABLE}` }, '"allow M10" is not complete'],
    ['a reference with a schema', { '1.sql': `-- rowhouse: reference public.port\n${TABLE}` }, 'found "public.port"'],
    [
      'a down part of another tool',
      { '1.sql': `-- migrate:up\n${TABLE}\n-- migrate:down\ndrop table leg;` },
      '"-- migrate:down" begins a part that takes the schema back',
    ],
    [
      'a journal of another database',
      { 'meta/_journal.json': '{"dialect":"mysql","entries":[]}' },
      'the dialect is "mysql", wanted "postgresql"',
    ],
    ['a broken journal', { 'meta/_journal.json': '{' }, '_journal.json: is not JSON'],
    [
      'a journal that leads out of the folder',
      { 'meta/_journal.json': '{"dialect":"postgresql","entries":[{"idx":0,"tag":"../x"}]}' },
      'wanted "entries", each with "idx" and "tag"',
    ],
    [
      'a journal without its file',
      { 'meta/_journal.json': '{"dialect":"postgresql","entries":[{"idx":0,"tag":"0000_a"}]}' },
      '0000_a.sql: the journal names it and it is gone',
    ],
    [
      'a file without its journal',
      { 'meta/_journal.json': '{"dialect":"postgresql","entries":[]}', '0000_a.sql': TABLE },
      '0000_a.sql: the journal does not name it',
    ],
    [
      'Prisma for another database',
      { 'migration_lock.toml': 'provider = "mysql"', '1_a/migration.sql': TABLE },
      'the provider is "mysql", wanted "postgresql"',
    ],
    [
      'a folder of Prisma without its file',
      { 'migration_lock.toml': 'provider = "postgresql"', '1_a/readme': '' },
      'holds no migration.sql',
    ],
  ])('%s', async (_, files, message) => {
    await expect(read(files)).rejects.toMatchObject({
      code: 'ERR_MIGRATION_INVALID',
      message: expect.stringContaining(message),
    })
  })

  it.each([
    ['select 1;\nselect * from public.port', '2:1', 'public.port', 'port'],
    ['create table a (b int references public.port (id))', '1:1', 'public.port', 'port'],
    ['create table a (b app.mode)', '1:1', 'app.mode', 'mode'],
    ['create type app.mode as enum ()', '1:1', 'app.mode', 'mode'],
    ['select app.f()', '1:1', 'app.f', 'f'],
    ['create function app.f() returns int language sql as $$ select 1 $$', '1:1', 'app.f', 'f'],
    ['drop table a, app.b', '1:1', 'app.b', 'b'],
    ['drop function app.f(int)', '1:1', 'app.f', 'f'],
    ['drop trigger t on app.b', '1:1', 'app.b', 'b'],
    ['drop index app.i', '1:1', 'app.i', 'i'],
    ['drop type app.mode', '1:1', 'app.mode', 'mode'],
    ["comment on column app.b.c is 'x'", '1:1', 'app.b', 'b'],
    ["comment on table app.b is 'x'", '1:1', 'app.b', 'b'],
    ["alter type app.mode add value 'x'", '1:1', 'app.mode', 'mode'],
    ['select app.b.c from b', '1:1', 'app.b.c', 'b.c'],
    ['create trigger t after insert on leg for each row execute function app.f()', '1:1', 'app.f', 'f'],
    ["alter function app.f() set work_mem = '1MB'", '1:1', 'app.f', 'f'],
    ['create index on leg (a app.ops)', '1:1', 'app.ops', 'ops'],
    ['select a collate app.c from leg', '1:1', 'app.c', 'c'],
    ['alter sequence app.s restart', '1:1', 'app.s', 's'],
    ['alter type app.mode rename to m', '1:1', 'app.mode', 'mode'],
    ['select 1 operator(app.+) 1', '1:1', 'app.+', '+'],
    ["select nextval('app.s')", '1:1', 'app.s', 's'],
    ['select rowhouse.protect(\'"app".port\')', '1:1', 'app.port', 'port'],
    ["select 'app.port'::regclass", '1:1', 'app.port', 'port'],
  ])('the schema in %s', async (text, place, written, wanted) => {
    const message = `1.sql:${place}: names the schema of "${written}": a tenant may live in a schema of its own; write "${wanted}"`
    await expect(read({ '1.sql': text })).rejects.toMatchObject({
      code: 'ERR_MIGRATION_INVALID',
      message: expect.stringContaining(message),
    })
  })

  it('nothing in names that mean the same everywhere, and in columns of tables', async () => {
    const text =
      "select pg_catalog.now(), leg.id, l.id::pg_catalog.int4 from leg, leg l, information_schema.tables; select rowhouse.protect('leg'); comment on column leg.id is 'x'; drop trigger t on leg;"
    await expect(read({ '1.sql': text })).resolves.toHaveLength(1)
  })

  it('a folder that is not there, and a file that is too large', async () => {
    await expect(readMigrations(join(root, 'nowhere'))).rejects.toMatchObject({
      code: 'ERR_MIGRATION_INVALID',
      message: expect.stringContaining('nowhere: cannot be read (ENOENT)'),
    })
    await expect(read({ '1.sql': TABLE }, { maxBytes: 10 })).rejects.toMatchObject({
      message: expect.stringContaining(`1.sql: ${TABLE.length} bytes, wanted 10 at most`),
    })
  })

  it('a file that cannot be read', async () => {
    const folder = folderOf({ '2.sql': TABLE })
    mkdirSync(join(folder, '1_a'))
    const { symlinkSync } = await import('node:fs')
    symlinkSync(join(folder, 'gone'), join(folder, '1.sql'))
    await expect(readMigrations(folder)).rejects.toMatchObject({
      code: 'ERR_MIGRATION_INVALID',
      message: expect.stringContaining('1.sql: cannot be read (ENOENT)'),
    })
  })

  it('everything at once', async () => {
    await expect(read({ '1.sql': 'selct 1', '2.sql': 'begin', '2-b.sql': 'select public.f()' })).rejects.toThrow(
      /1\.sql:1:1: syntax[\s\S]*2\.sql:1:1: starts[\s\S]*2-b\.sql:1:1: names[\s\S]*has the number 2/,
    )
  })
})

describe('assertUnchanged()', () => {
  it('accepts what ran, refuses what changed or is gone', async () => {
    const migrations = await read({ '1-a.sql': 'select 1', '2-b.sql': 'select 2' })
    const known = migrations.map(({ id, sha256 }) => ({ id, sha256 }))
    expect(() => assertUnchanged(known, migrations)).not.toThrow()
    const old = [...known.slice(0, 1), { id: '2-b', sha256: 'f'.repeat(64) }, { id: '3-c', sha256: 'f'.repeat(64) }]
    expect(() => assertUnchanged(old, migrations)).toThrow(
      expect.objectContaining({
        code: 'ERR_SCHEMA_DRIFT',
        message: expect.stringMatching(
          /2-b\.sql: changed after it ran \(ffffffffffff then, [0-9a-f]{12} now\)[\s\S]*"3-c" ran and its file is gone: restore it/,
        ),
      }),
    )
  })
})

describe('findLate()', () => {
  it('names what stands before something that ran', async () => {
    const migrations = await read({ '1.sql': 'select 1', '2.sql': 'select 2', '3.sql': 'select 3' })
    const ran = (...ids: string[]) =>
      findLate(
        ids.map((id) => ({ id, sha256: '' })),
        migrations,
      ).map((each) => each.id)
    expect(ran('1', '3')).toEqual(['2'])
    expect(ran('1', '2')).toEqual([])
    expect(ran()).toEqual([])
  })
})
