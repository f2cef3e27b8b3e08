/** What `verify` says of a schema that is right, of one with a known hole, and of one it cannot attack. */

import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { isRowhouseError } from 'rowhouse'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import type { Arena } from '../../src/verify/arena.ts'
import { ATTACKS } from '../../src/verify/attacks.ts'
import { type Stage, setStage } from '../../src/verify/stage.ts'
import { ATTACKER, VICTIM } from '../../src/verify/stage-tenants.ts'
import { findLeak, type VerifyReport, verify } from '../../src/verify/verify.ts'
import { believing } from '../../src/verify/weaknesses.ts'
import { HOSTILE_SCHEMA } from '../doctor/hostile-schema.ts'
import { asAdmin, createOperator, createSmallDatabase, type Operator } from './small-schema.ts'

let database: TestDatabase
let operator: Operator
let stage: Stage | undefined

beforeAll(async () => {
  database = await createSmallDatabase()
  operator = await createOperator(database)
})

afterAll(async () => {
  await stage?.close()
  await operator.drop()
  await database.drop()
})

const urls = (of: TestDatabase) => ({ adminUrl: operator.url(of), appUrl: of.appUrl })

const problems = (report: VerifyReport) =>
  report.cells.filter(({ verdict }) => verdict === 'leaked' || verdict === 'void')

test('a protected schema is isolated, every control succeeds, and the database is as it was', async () => {
  const before = await asAdmin(database, digest)
  const steps: string[] = []
  const report = await verify({
    ...urls(database),
    onProgress: (done, total, what) => steps.push(`${done}/${total} ${what}`),
  })
  expect(problems(report)).toEqual([])
  expect(report).toMatchObject({ isolated: true, leaked: 0, void: 0, uncloned: [], empty: [], database: database.name })
  expect(report.controls.fired).toBe(report.controls.total)
  expect(report.controls.total).toBe(report.refused)
  expect(report.refused).toBeGreaterThan(150)
  expect(report.refused + report.notApplicable).toBe(report.cells.length)
  for (const { verdict, how } of report.cells) if (verdict === 'not-applicable') expect(how).not.toBe('not run')
  expect(steps.at(-1)).toMatch(/done$/)
  expect(await asAdmin(database, digest)).toEqual(before)
  expect(await operator.listScratch()).toEqual([])
}, 240_000)

/** All there is in the catalog, in every table, and what the server counts as written. */
async function digest(admin: pg.Client): Promise<unknown> {
  const { rows: tables } = await admin.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'r' and (n.nspname in ('public', 'rowhouse') or n.nspname = 'pg_catalog' and not c.relisshared and c.relname !~ 'statistic|pg_class') order by 1`,
  )
  const digests: Record<string, string> = {}
  for (const { name } of tables) {
    const { rows } = await admin.query<{ digest: string }>(
      `select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) as digest from ${name} t`,
    )
    digests[name] = rows[0]?.digest ?? ''
  }
  return digests
}

interface Hole {
  readonly what: string
  readonly sql: string
  readonly found: RegExp
}

/** Torn into the copy, as `mutate` does: one stage serves them all. */
const HOLES: readonly Hole[] = [
  {
    what: 'row-level security is off',
    sql: 'alter table item disable row level security',
    found: /^RLS-01 .*public\.item select/,
  },
  {
    what: 'an open policy beside no wall',
    sql: 'drop policy rowhouse_wall on item; create policy more on item using (true)',
    found: /^RLS-01 .*public\.item select/,
  },
  {
    what: 'a policy without a seal',
    sql: `drop policy rowhouse_wall on item; alter policy rowhouse_tenant on item using (tenant_id = coalesce(nullif(substr(current_setting('rowhouse.seal', true), 65, 36), '')::uuid, rowhouse.reject()))`,
    found: /^CTX-07 .*public\.item/,
  },
  {
    what: 'a policy that lets everybody in who has no tenant',
    sql: `drop policy rowhouse_wall on item; alter policy rowhouse_tenant on item using (coalesce(current_setting('rowhouse.seal', true), '') = '' or tenant_id = (select s.id from rowhouse.sealed s))`,
    found: /^CTX-01 .*public\.item select without a tenant/,
  },
  {
    what: 'a view that reads as the superuser',
    sql: 'create or replace view item_view with (security_invoker = false) as select * from item; alter view item_view owner to current_user',
    found: /^RLS-16 .*public\.item_view/,
  },
  {
    what: 'a policy for SELECT only',
    sql: 'drop policy rowhouse_wall on item; create policy more on item for delete using (true)',
    found: /^RLS-09 .*public\.item blind delete|^RLS-32 .*public\.item/,
  },
  {
    what: 'no check of new rows',
    sql: 'drop policy rowhouse_wall on item; alter policy rowhouse_tenant on item with check (true)',
    found: /^RLS-07 .*public\.item insert for another/,
  },
  {
    what: 'TRUNCATE is granted',
    sql: 'grant truncate on note to rowhouse_app',
    found: /^RLS-25 .*public\.note truncate/,
  },
  {
    what: 'the policy of units is gone',
    sql: 'drop policy rowhouse_unit on note',
    found: /^RLS-45 .*public\.note select/,
  },
  {
    what: 'TRIGGER is granted',
    sql: 'grant trigger on note to rowhouse_app',
    found: /^RLS-24 .*public\.note create trigger/,
  },
  {
    what: 'a shared sequence is usable',
    sql: 'grant usage, select on sequence counter to rowhouse_app',
    found: /^ORA-09 .*public\.counter/,
  },
  {
    what: 'temporary tables are allowed',
    sql: `do $$ begin execute format('grant temporary on database %I to public', current_database()); end $$`,
    found: /^RLS-21 .*database create temporary table/,
  },
  {
    what: 'the application may create in public',
    sql: 'grant create on schema public to rowhouse_app',
    found: /^RLS-(18|21) .*database create/,
  },
  {
    what: 'new tables are readable',
    sql: 'alter default privileges grant select on tables to rowhouse_app',
    found: /^RLS-44 .*public select from a new table/,
  },
  {
    what: 'the keys of the seals are readable',
    sql: 'grant select on rowhouse.resident to rowhouse_app; grant usage on schema rowhouse to rowhouse_app',
    found: /^CTX-07 .*database read keys/,
  },
  {
    what: 'the context is not checked',
    sql: believing('true'),
    found: /^CTX-07 .*public\.item own signature, victim's name/,
  },
  {
    what: 'the attacker may change what is said in its own seal',
    sql: believing(`a.tenant_id = '${ATTACKER.id}'`),
    found: /^APP-22 .*public\.item later expiry : accepted: 3 rows/,
  },
  {
    what: 'seals of an earlier placement are still accepted',
    sql: 'alter table rowhouse.resident disable trigger accept_stamps',
    found: /^APP-23 .*public\.item another epoch : accepted: 3 rows/,
  },
  {
    what: 'large objects are open',
    sql: 'grant execute on function lo_create(oid), lo_put(oid, bigint, bytea) to public',
    found: /^RLS-30 .*database large object/,
  },
]

/** Each takes seconds; all of them with `npm run test:long`. */
const TRIED = process.env.ROWHOUSE_TEST_LONG === '1' ? HOLES : HOLES.filter((_, n) => n % 2 === 0)

test.each(TRIED)('a hole is found: $what', async ({ sql, found }) => {
  stage ??= await setStage(urls(database))
  expect(await findLeak(stage, `set local search_path = public, pg_catalog; ${sql}`)).toMatch(found)
})

test('CTX-11 brings the context along before the first statement', async () => {
  stage ??= await setStage(urls(database))
  const arena = await stage.openArena('whole', 'unsigned')
  try {
    const attack = ATTACKS.find(({ id }) => id === 'CTX-11')
    const [cell] = attack?.cells(stage.facts) ?? []
    if (attack === undefined || cell === undefined) throw new Error('there is no attack CTX-11')
    let brought = ''
    const raw: Arena['raw'] = (fn, options) =>
      arena.raw(async (client) => {
        const { rows } = await client.query<{ seal: string }>(`select current_setting('rowhouse.seal', true) as seal`)
        brought = rows[0]?.seal ?? ''
        return fn(client)
      }, options)
    expect(await attack.attempt({ ...arena, raw }, cell)).toEqual({ leaked: true, how: '4 rows of the victim' })
    expect(brought.slice(64, 100)).toBe(VICTIM.id)
  } finally {
    await arena.close()
  }
})

/** These need rows of their own: the hole has to be there before there are any. */
test.each([
  ['a key over all tenants', 'alter table item add unique (id)', ['ORA-05', 'ORA-06']],
  [
    'a foreign key without the tenant',
    'alter table item add unique (id); alter table note drop constraint note_tenant_id_item_id_fkey, add foreign key (item_id) references item (id)',
    ['ORA-01', 'ORA-02', 'ORA-05', 'ORA-06'],
  ],
  [
    'a table that was forgotten, with a materialized view of it',
    'create table forgotten (tenant_id uuid, id int); create materialized view all_items as select * from item; grant all on forgotten, all_items to rowhouse_app',
    ['CTX-01', 'RLS-01', 'RLS-17'],
  ],
])(
  'a hole in the schema is found: %s',
  async (_, change, attacks) => {
    const other = await createSmallDatabase(change)
    try {
      const report = await verify(urls(other))
      expect(report.isolated).toBe(false)
      expect(problems(report).filter(({ verdict }) => verdict === 'void')).toEqual([])
      const found = new Set(problems(report).map(({ attack }) => attack))
      expect([...found]).toEqual(expect.arrayContaining(attacks))
    } finally {
      await other.drop()
    }
  },
  240_000,
)

test('a schema nobody prepared is attacked as far as it goes, and nothing is void', async () => {
  const other = await createTestDatabase()
  try {
    await asAdmin(other, (admin) => admin.query(HOSTILE_SCHEMA.replace('1..300', '1..2')))
    // As the role whose default rights the schema has changed.
    const report = await verify({ adminUrl: other.adminUrl, appUrl: other.appUrl })
    expect(problems(report).filter(({ verdict }) => verdict === 'void')).toEqual([])
    expect(report.controls.fired).toBe(report.controls.total)
    const leaking = new Set(problems(report).map(({ target }) => target))
    expect([...leaking].sort()).toEqual([
      'public',
      'public."Mat View"',
      'public."T 1"',
      'public."T 2"',
      'public."View 1"',
      'public.large',
      'public.over_matview',
      'public.view_2',
    ])
    for (const { verdict, how } of report.cells) if (verdict === 'not-applicable') expect(how).not.toBe('not run')
    expect(report.cells.find(({ attack }) => attack === 'RLS-29')).toMatchObject({
      target: 'public."Foreign One"',
      verdict: 'not-applicable',
      how: 'a foreign table is not copied into the scratch database: doctor rule L19 judges it',
    })
    expect(report.uncloned.length).toBeGreaterThan(0)
  } finally {
    await other.drop()
  }
}, 240_000)

test('a database without Rowhouse is refused', async () => {
  const empty = await createEmptyDatabase()
  try {
    await expect(verify(urls(empty))).rejects.toMatchObject({
      name: 'ConfigError',
      code: 'ERR_NOT_INSTALLED',
      message: `Cannot attack database "${empty.name}": Rowhouse is not installed in it; run "rowhouse install" first`,
    })
  } finally {
    await empty.drop()
  }
})

test.each([
  [
    'no server at the address',
    'postgres://nobody@127.0.0.1:1/x',
    'ERR_DATABASE_UNAVAILABLE',
    /^Cannot reach the database: .*ECONNREFUSED/,
  ],
  [
    'no URL',
    '',
    'ERR_ADMIN_REQUIRED',
    /^Cannot make scratch databases without an operator login: set ROWHOUSE_ADMIN_URL/,
  ],
  [
    'something that is none',
    'mysql://x',
    'ERR_CONFIG_INVALID',
    /^Cannot read the URL of the database: wanted postgres:/,
  ],
])('a bad URL is refused: %s', async (_, adminUrl, code, message) => {
  const error = await verify({ adminUrl, appUrl: database.appUrl }).catch((caught: unknown) => caught)
  expect(isRowhouseError(error)).toBe(true)
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
})

test('a database that does not exist is no reason to try again', async () => {
  const adminUrl = database.adminUrl.replace(database.name, 'not_there')
  await expect(verify({ adminUrl, appUrl: database.appUrl })).rejects.toMatchObject({
    code: 'ERR_CONFIG_INVALID',
    message: 'Cannot log in to the database: database "not_there" does not exist; correct the URL of the database',
  })
})

test('a login that may not make databases is told what is needed', async () => {
  const url = new URL(database.appUrl)
  await expect(verify({ adminUrl: url.href, appUrl: url.href })).rejects.toMatchObject({
    name: 'MigrationError',
    code: 'ERR_PRIVILEGE_MISSING',
    message: `Cannot make scratch databases as "rowhouse_app": it is no superuser and has no CREATEDB; wanted a superuser, because a copy belongs to the roles of the original. Run it on a server for tests`,
  })
})

test.each(['superuser', 'bypassrls'])('an application that logs in as %s is a finding', async (attribute) => {
  const name = `test_role_${randomBytes(4).toString('hex')}`
  await asAdmin(database, (admin) =>
    admin.query(`create role ${name} login ${attribute} password 'x' in role rowhouse_app`),
  )
  try {
    const appUrl = new URL(database.appUrl)
    appUrl.username = name
    appUrl.password = 'x'
    const report = await verify({ ...urls(database), appUrl: appUrl.href })
    expect(report.isolated).toBe(false)
    expect(problems(report)).toMatchObject([
      {
        attack: 'RLS-04',
        target: 'role of the application',
        how: expect.stringContaining('ERR_ISOLATION_ROLE_BYPASSES_RLS'),
      },
    ])
  } finally {
    await asAdmin(database, (admin) => admin.query(`drop role ${name}`))
  }
})
