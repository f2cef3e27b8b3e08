/** The doctor as a function: what it answers, to whom, and what it says where it cannot. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import pg from 'pg'
import { ConfigError, MigrationError, RowhouseError, StatementError, UnavailableError } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { newBaseline } from '../../src/doctor/baseline.ts'
import { type DiagnoseOptions, type Diagnosis, diagnose } from '../../src/doctor/diagnose.ts'
import { writeFixMigration } from '../../src/doctor/fix-migration.ts'
import { ALL_RULES } from '../../src/doctor/rules.ts'

const freight = readFileSync(new URL('../../../../examples/freight/sql/000001-freight.sql', import.meta.url), 'utf8')
const SICK = `
  create table customer (tenant_id uuid not null, id bigint primary key, email text unique);
  create table bill (tenant_id uuid not null, id bigint, customer_id bigint references customer on delete set null, primary key (tenant_id, id));
  create index bill_customer on bill (customer_id);`

let sick: TestDatabase
let empty: TestDatabase
let admin: pg.Client
const databases: TestDatabase[] = []
const login = { user: `nobody_${randomBytes(4).toString('hex')}`, password: randomBytes(12).toString('hex') }

beforeAll(async () => {
  sick = await openDatabase(createTestDatabase())
  empty = await openDatabase(createEmptyDatabase())
  admin = await connect(sick.adminUrl)
  await admin.query(SICK)
  await admin.query(`create role ${login.user} login password '${login.password}'`)
})

afterAll(async () => {
  await admin.query(`drop role ${login.user}`)
  await admin.end()
  for (const database of databases) await database.drop()
})

async function openDatabase(opening: Promise<TestDatabase>): Promise<TestDatabase> {
  const database = await opening
  databases.push(database)
  return database
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return client
}

/** Brings a database into a state, committed, and closes the connection. */
async function run(url: string, script: string): Promise<void> {
  const client = await connect(url)
  await client.query(script).finally(() => client.end())
}

function withLogin(url: string): string {
  return Object.assign(new URL(url), { username: login.user, password: login.password }).href
}

async function failure(options: DiagnoseOptions): Promise<RowhouseError> {
  const error = await diagnose(options).then(
    () => undefined,
    (caught: unknown) => caught,
  )
  if (!(error instanceof RowhouseError)) throw new Error('Wanted an error of Rowhouse', { cause: error })
  return error
}

const errorsOf = ({ findings }: Diagnosis) => findings.filter(({ severity }) => severity === 'error')
const lines = (findings: Diagnosis['findings']) => findings.map(({ rule, object }) => `${rule} ${object}`)

describe('diagnose()', () => {
  test('says what is there and what is wrong with it', async () => {
    const diagnosis = await diagnose({ url: sick.adminUrl })
    expect(diagnosis).toMatchObject({ database: sick.name, appRoles: ['rowhouse_app'], tenantTables: 2, failed: [] })
    expect(diagnosis.installed).toBeGreaterThan(0)
    expect(lines(errorsOf(diagnosis))).toEqual([
      'L01 public.bill',
      'L01 public.customer',
      'L26 constraint bill_customer_id_fkey on public.bill',
      'L27 constraint customer_email_key on public.customer',
      'L27 constraint customer_pkey on public.customer',
    ])
    expect(diagnosis.clean).toBe(false)
  })

  test('gives the same answer twice, in the same order', async () => {
    const first = await diagnose({ url: sick.adminUrl })
    const second = await diagnose({ url: sick.adminUrl })
    expect({ ...second, elapsedMs: 0 }).toEqual({ ...first, elapsedMs: 0 })
    const ids = first.findings.map(({ rule }) => Number(rule.slice(1)))
    expect(ids).toEqual([...ids].sort((a, b) => a - b))
  })

  test('changes nothing and leaves no session behind', async () => {
    await diagnose({ url: sick.adminUrl })
    await expect
      .poll(async () => {
        const { rows } = await admin.query(
          `select 1 from pg_stat_activity where application_name = 'rowhouse-doctor' and datname = current_database()`,
        )
        return rows.length
      })
      .toBe(0)
  })

  test('asks only the rules named, and knows their ids', async () => {
    const { findings, skipped, failed } = await diagnose({ url: sick.adminUrl, rules: ['L27', 'L01'] })
    expect({ rules: [...new Set(findings.map(({ rule }) => rule))], skipped, failed }).toEqual({
      rules: ['L01', 'L27'],
      skipped: [],
      failed: [],
    })
    const error = await failure({ url: sick.adminUrl, rules: ['L01', 'L999'] })
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.code).toBe('ERR_CONFIG_INVALID')
    expect(error.message).toBe('Cannot ask rule "L999": there is none of that id; wanted ids like "L01"')
    expect((await failure({ url: sick.adminUrl, rules: [] })).message).toMatch(/no rule at all/)
  })

  test('examines a database without Rowhouse, and says which rules do not apply', async () => {
    await run(
      empty.adminUrl,
      'create table invoice (id bigint generated always as identity primary key, org_id bigint not null, number text unique)',
    )
    const { installed, findings, skipped, failed } = await diagnose({ url: empty.adminUrl, appRoles: [login.user] })
    expect({ installed, failed }).toEqual({ installed: undefined, failed: [] })
    expect(lines(findings.filter(({ severity }) => severity === 'error'))).toEqual([
      'L01 public.invoice',
      `L18 database ${empty.name}`,
      'L27 constraint invoice_number_key on public.invoice',
      'L30 large objects for PUBLIC',
    ])
    expect(skipped).toContainEqual({ rule: 'L47', reason: 'Rowhouse is not installed in this database' })
    expect(skipped).toContainEqual({ rule: 'L54', reason: 'checked by eslint-plugin-rowhouse' })
    expect(skipped).toContainEqual({ rule: 'L50', reason: 'its subject is not part of Rowhouse yet' })
  })

  test('reports what a login without rights could not ask as failed, never as clean', async () => {
    const { failed, clean } = await diagnose({
      url: withLogin(empty.adminUrl),
      appRoles: [login.user],
      rules: ['L38', 'L39', 'L40'],
    })
    expect(failed).toEqual([
      {
        rule: 'L38',
        error:
          'permission denied for view pg_hba_file_rules; ask as a superuser, or as a role that was granted the right',
      },
      {
        rule: 'L39',
        error: expect.stringMatching(/^permission denied for .*; ask as a superuser/),
      },
    ])
    expect(clean).toBe(false)
  })

  test('says that a login may not look into the schema of Rowhouse', async () => {
    const error = await failure({ url: withLogin(sick.adminUrl) })
    expect(error).toBeInstanceOf(MigrationError)
    expect(error.code).toBe('ERR_PRIVILEGE_MISSING')
    expect(error.message).toBe(
      'Cannot examine the database with this login: permission denied for schema rowhouse; use a superuser, or the login that installed Rowhouse',
    )
  })

  test('asks for a URL, and never repeats one', async () => {
    for (const url of [undefined, '']) {
      const error = await failure({ url })
      expect(error).toBeInstanceOf(ConfigError)
      expect(error.code).toBe('ERR_ADMIN_REQUIRED')
      expect(error.message).toMatch(/^Cannot examine a database without an operator login: set ROWHOUSE_ADMIN_URL/)
    }
    for (const url of ['mysql://root:hunter2@127.0.0.1/x', 'hunter2', 'postgres://user:hunter2 @[/x']) {
      const error = await failure({ url })
      expect(error.code).toBe('ERR_CONFIG_INVALID')
      expect(error.message).toMatch(/^Cannot read the URL of the database: wanted postgres:/)
      expect(error.message).not.toContain('hunter2')
    }
  })

  test('tells a wrong password, an unknown database and role from a server that is away', async () => {
    const wrong = Object.assign(new URL(sick.adminUrl), { password: 'wrong' }).href
    const nowhere = Object.assign(new URL(sick.adminUrl), { pathname: '/no_such_database' }).href
    for (const url of [wrong, nowhere]) {
      const error = await failure({ url })
      expect([error.code, error.message]).toEqual([
        'ERR_CONFIG_INVALID',
        expect.stringMatching(/^Cannot log in to examine the database: .*; correct the URL of the database$/),
      ])
    }
    expect((await failure({ url: sick.adminUrl, appRoles: ['web', 'rowhouse_app'] })).message).toBe(
      'Cannot examine what role "web" may do: there is no such role on this server; correct appRoles',
    )
    const closed = createServer()
    closed.listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as { port: number }
    closed.close()
    await once(closed, 'close')
    const error = await failure({ url: `postgres://postgres@127.0.0.1:${port}/postgres` })
    expect(error).toBeInstanceOf(UnavailableError)
    expect([error.code, error.retryable]).toEqual(['ERR_DATABASE_UNAVAILABLE', true])
    expect(error.message).toMatch(/^Cannot reach the database: .*ECONNREFUSED/)
  })

  test('notices a server that is not PostgreSQL', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const error = await failure({ url: `postgres://postgres@127.0.0.1:${port}/postgres` })
    server.close()
    expect(error.code).toBe('ERR_DATABASE_UNAVAILABLE')
    expect(error.message).toMatch(/^Cannot reach the database: /)
  })
})

describe('an examination that is', () => {
  /** Lets the survey wait for a table, then does `then` to it. */
  async function whileItWaits(then: (pid: number) => Promise<unknown>, options: Partial<DiagnoseOptions> = {}) {
    await admin.query('begin; lock table rowhouse.migration in access exclusive mode')
    try {
      const outcome = diagnose({ url: sick.adminUrl, ...options }).catch((error: unknown) => error)
      const findDoctor = async () => {
        // Within a transaction the first look would be shown again.
        await admin.query('select pg_stat_clear_snapshot()')
        const { rows } = await admin.query<{ pid: number }>(
          `select pid from pg_stat_activity
            where application_name = 'rowhouse-doctor' and datname = current_database() and wait_event_type = 'Lock'`,
        )
        return rows[0]?.pid
      }
      await expect.poll(findDoctor, { interval: 10, timeout: 5_000 }).toBeTypeOf('number')
      await then((await findDoctor()) ?? 0)
      return (await outcome) as Error & { code?: string }
    } finally {
      await admin.query('rollback')
    }
  }

  test('cancelled says so', async () => {
    const error = await whileItWaits((pid) => admin.query('select pg_cancel_backend($1)', [pid]))
    expect(error).toBeInstanceOf(StatementError)
    expect([error.code, error.message]).toEqual([
      'ERR_STATEMENT_CANCELLED',
      'Cannot finish the examination: canceling statement due to user request; run it again',
    ])
  })

  test('ended by the server says so', async () => {
    const error = await whileItWaits((pid) => admin.query('select pg_terminate_backend($1)', [pid]))
    expect(error).toBeInstanceOf(UnavailableError)
    expect(error.code).toBe('ERR_DATABASE_UNAVAILABLE')
    expect(error.message).toMatch(/^Cannot go on with the examination: terminating connection/)
  })

  test('kept waiting for a lock gives up', async () => {
    const error = await whileItWaits(async () => {})
    expect([error.code, error.message]).toEqual([
      'ERR_TIMEOUT',
      'Cannot examine the database now: canceling statement due to lock timeout; somebody changes its tables, try again when that is done',
    ])
  })

  test('aborted rejects with the reason', async () => {
    const abort = new AbortController()
    const reason = new Error('no longer wanted')
    const error = await whileItWaits(async () => abort.abort(reason), { signal: abort.signal })
    expect(error).toBe(reason)
    await expect(diagnose({ url: sick.adminUrl, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe('a baseline', () => {
  const now = new Date('2026-11-21T12:00:00Z')

  test('accepts what is named, for its time; what matches nothing is said', async () => {
    const before = await diagnose({ url: sick.adminUrl })
    const all = newBaseline(before.findings, 'known since the first examination', '2026-12-31', now)
    const clean = await diagnose({ url: sick.adminUrl, baseline: all, now })
    expect({ ...clean, elapsedMs: 0 }).toMatchObject({ findings: [], expired: [], stale: [], clean: true })
    expect(clean.accepted).toEqual(before.findings)

    const late = await diagnose({ url: sick.adminUrl, baseline: all, now: new Date('2027-01-01T00:00:00Z') })
    expect(late.findings).toEqual(before.findings)
    expect(late).toMatchObject({ accepted: [], expired: all.entries, stale: [], clean: false })

    const gone = { rule: 'L01', object: 'public.gone', reason: 'it was there once', expires: '2026-12-31' }
    const unasked = { rule: 'L50', object: 'public.gone', reason: 'nobody looks at this yet', expires: '2026-12-31' }
    const { stale } = await diagnose({ url: sick.adminUrl, baseline: { entries: [gone, unasked] }, now })
    expect(stale).toEqual([gone])
  })
})

describe('the migration that mends', () => {
  const SHAPE = ALL_RULES.filter(({ id }) => Number(id.slice(1)) >= 26 && Number(id.slice(1)) <= 35).map(({ id }) => id)

  test('mends keys, foreign keys and indexes, and what is left needs a person', async () => {
    const database = await openDatabase(createTestDatabase())
    await run(
      database.adminUrl,
      `${SICK}
       create table remark (tenant_id uuid not null, id bigint not null, bill_id bigint, note text, photo oid);
       alter table bill add unique (id);
       alter table remark add foreign key (bill_id) references bill (id) on delete cascade deferrable;
       create index "odd ""name" on remark (note, bill_id);
       create index remark_note on remark (tenant_id, note);
       create index remark_note_again on remark (tenant_id, note);
       create sequence shared; grant usage on sequence shared to rowhouse_app;
       insert into customer values ('00000000-0000-4000-8000-000000000001', 1, 'a@example.com');
       insert into bill values ('00000000-0000-4000-8000-000000000001', 1, 1);
       insert into remark values ('00000000-0000-4000-8000-000000000001', 1, 1, 'x');`,
    )
    const before = await diagnose({ url: database.adminUrl, rules: SHAPE })
    expect(new Set(before.findings.map(({ rule }) => rule))).toEqual(
      new Set(['L26', 'L27', 'L28', 'L29', 'L30', 'L33', 'L34']),
    )
    const client = await connect(database.adminUrl)
    let left = before.findings
    // Foreign keys can be mended once the keys they refer to are.
    for (let round = 1; round <= 3; round += 1) {
      const { transactional, concurrent } = writeFixMigration(left)
      if (transactional !== undefined) await client.query(transactional)
      for (const statement of (concurrent ?? '').split(';\n').flatMap((part) => part.split('; '))) {
        if (/^[^-]/m.test(statement)) await client.query(statement)
      }
      left = (await diagnose({ url: database.adminUrl, rules: SHAPE })).findings
    }
    const { rows } = await client.query(
      `select conname, pg_get_constraintdef(oid) as definition from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace order by 1`,
    )
    await client.end()
    expect(lines(left)).toEqual(['L30 public.remark.photo'])
    expect(rows).toEqual([
      {
        conname: 'bill_customer_id_fkey',
        definition:
          'FOREIGN KEY (tenant_id, customer_id) REFERENCES customer(tenant_id, id) ON DELETE SET NULL (customer_id)',
      },
      {
        conname: 'remark_bill_id_fkey',
        definition: 'FOREIGN KEY (tenant_id, bill_id) REFERENCES bill(tenant_id, id) ON DELETE CASCADE DEFERRABLE',
      },
    ])
  })

  test('says each statement once, in order, below what it mends, and splits what no transaction can do', () => {
    const finding = (rule: string, object: string, mend?: string) => ({
      rule,
      object,
      severity: 'error' as const,
      message: `wrong with ${object}`,
      ...(mend === undefined ? {} : { mend }),
    })
    const migration = writeFixMigration([
      finding('L32', 'b', 'create index concurrently on b (x);'),
      finding('L09', 'z', 'select 2;'),
      finding('L02', 'b', 'select 1'),
      finding('L02', 'a', 'select 1'),
      finding('L10', 'a\ndrop table a;'),
    ])
    expect(
      migration.transactional,
    ).toBe(`-- Mends findings of the doctor. Read it before you run it; run it as the operator.

begin;

-- L02 a: wrong with a
-- L02 b: wrong with b
select 1;

-- L09 z: wrong with z
select 2;

commit;

-- To be mended by a person:
-- L10 a drop table a;: wrong with a drop table a;
`)
    expect(migration.concurrent).toMatch(
      /outside of a transaction[\s\S]*\n\n-- L32 b: wrong with b\ncreate index concurrently on b \(x\);\n$/,
    )
    expect(migration.manual.map(({ rule }) => rule)).toEqual(['L10'])
    expect(writeFixMigration([])).toEqual({ transactional: undefined, concurrent: undefined, manual: [] })
  })
})

describe('what only a real server shows', () => {
  test('the freight example has no error, and one warning, about its login', async () => {
    const database = await openDatabase(createTestDatabase())
    await run(
      database.adminUrl,
      `set role rowhouse_owner; ${freight}
       select rowhouse.publish_reference('port');
       select rowhouse.protect(c.oid, unit_scope => exists (
                select from pg_attribute u where u.attrelid = c.oid and u.attname = 'unit_id'))
         from pg_class c join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id'
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'`,
    )
    const { findings, failed, clean, tenantTables } = await diagnose({ url: database.adminUrl })
    expect({ failed, clean, tenantTables }).toEqual({ failed: [], clean: true, tenantTables: 14 })
    expect(lines(findings.filter(({ severity }) => severity === 'warning'))).toEqual(['L41 role rowhouse_app'])
  })

  test('a slot left over, and an index that nothing uses', async () => {
    const database = await openDatabase(createTestDatabase())
    const slot = `left_${randomBytes(4).toString('hex')}`
    const client = await connect(database.adminUrl)
    try {
      await client.query(`select pg_create_logical_replication_slot($1, 'pgoutput', temporary => true)`, [slot])
      await client.query(`
        create table t (tenant_id uuid not null, id bigint, a int, b int, primary key (tenant_id, id));
        create index unused on t (tenant_id, a);
        insert into t select '00000000-0000-4000-8000-000000000001', n, n, n from generate_series(1, 10000) n`)
      await client.query('analyze t')
      await client.query(`do $$ begin for i in 1..1000 loop
        perform from t where tenant_id = '00000000-0000-4000-8000-000000000001' and id = i; end loop; end $$`)
      await client.query('select pg_stat_force_next_flush()')
      await client.query('select 1')
      const { findings } = await diagnose({ url: database.adminUrl, rules: ['L31', 'L34', 'L42', 'L47'] })
      expect(lines(findings)).toEqual([
        `L31 replication slot ${slot}`,
        'L34 index public.unused',
        'L42 server',
        'L47 public.t',
      ])
    } finally {
      await client.end()
    }
  })
})
