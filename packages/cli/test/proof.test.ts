import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { createTenantAdmin } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../core/test/support/database.ts'
import { run } from '../src/run.ts'

/** `rowhouse doctor`, `verify`, `fuzz` and `inject`, as somebody types them. */
let database: TestDatabase
let admin: pg.Client
let folder: string

beforeAll(async () => {
  database = await createTestDatabase()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  await admin.query(`
    create table item (tenant_id uuid not null, id bigint not null, label text not null, primary key (tenant_id, id));
    alter table item owner to rowhouse_owner;
    select rowhouse.protect('item')`)
  folder = await mkdtemp(join(tmpdir(), 'rowhouse-cli-proof-'))
})
afterAll(async () => {
  await admin.end()
  await database.drop()
  await rm(folder, { recursive: true })
})

async function rowhouse(argv: readonly string[], env: Record<string, string> = {}) {
  const said = { stdout: '', stderr: '' }
  const stream = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      said[name] += text
    },
  })
  const code = await run(argv, {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    env: {
      ROWHOUSE_ADMIN_URL: database.adminUrl,
      DATABASE_URL: database.appUrl,
      ROWHOUSE_ROOT_KEY: database.rootKey,
      ...env,
    },
  })
  return { code, ...said }
}

/** Leaves the server's own settings out: they are those of the machine the tests run on. */
const OF_THE_SCHEMA = ['L01', 'L04', 'L07', 'L09', 'L17', 'L27'].flatMap((id) => ['--rule', id])

const dayAhead = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)

describe('rowhouse doctor', () => {
  it('has nothing to say about a protected table', async () => {
    const { code, stdout, stderr } = await rowhouse(['doctor', ...OF_THE_SCHEMA])
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toContain('No errors, 0 warnings, 0 notes')
  })

  it('prints what it found, writes the SQL that mends it, and is quiet once that has run', async () => {
    await admin.query('alter table item disable row level security')
    const [file, sarif] = [join(folder, 'mend.sql'), join(folder, 'doctor.sarif')]
    const found = await rowhouse(['doctor', ...OF_THE_SCHEMA, '--fix', file, '--sarif', sarif])
    expect(found.code).toBe(1)
    expect(found.stdout).toContain('✗ L01 Tenant table without row-level security')
    const sql = await readFile(file, 'utf8')
    expect(found.stdout).toContain(sql)
    expect(JSON.parse(await readFile(sarif, 'utf8'))).toMatchObject({
      version: '2.1.0',
      runs: [{ results: [{ ruleId: 'L01' }] }],
    })
    await admin.query(sql)
    expect(await rowhouse(['doctor', ...OF_THE_SCHEMA])).toMatchObject({ code: 0 })
  })

  it('accepts a finding for a time, with a reason', async () => {
    await admin.query('grant truncate on item to rowhouse_app')
    const file = join(folder, 'baseline.json')
    const until = dayAhead(30)
    await writeFile(file, '{ "entries": [] }')
    const asked = ['doctor', '--rule', 'L17', '--baseline', file]
    expect(await rowhouse([...asked, '--accept', 'emptied by the nightly import', '--until', until])).toMatchObject({
      code: 0,
    })
    const { code, stdout } = await rowhouse([...asked, '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ clean: true, findings: [], accepted: [{ rule: 'L17' }] })
    await admin.query('revoke truncate on item from rowhouse_app')
    expect((await rowhouse(asked)).stderr).toContain('it matches nothing: L17 on public.item')
  })

  it.each([
    ['a date is missing', ['--accept', 'because it is fine'], 'Cannot accept findings for ever'],
    [
      'the baseline is not there',
      ['--baseline', '/nowhere/baseline.json'],
      'Cannot read the baseline "/nowhere/baseline.json"',
    ],
    ['no rule has the id', ['--rule', 'L999'], 'Cannot ask rule "L999"'],
  ])('refuses when %s', async (_, flags, message) => {
    const { code, stderr } = await rowhouse(['doctor', ...flags])
    expect(code).toBe(78)
    expect(stderr).toContain(`ERR_CONFIG_INVALID: ${message}`)
  })

  it.each([
    ['--sarif', []],
    ['--fix', []],
    ['--baseline', ['--accept', 'known for long', '--until', dayAhead(30)]],
  ])('says which file of %s cannot be written', async (flag, more) => {
    await admin.query('grant truncate on item to rowhouse_app')
    const link = join(folder, 'rowhouse-baseline.json')
    await symlink('/nowhere/file', link)
    const home = process.cwd()
    process.chdir(folder)
    try {
      const named = flag === '--baseline' ? more : [flag, '/nowhere/file']
      const { code, stderr } = await rowhouse(['doctor', '--rule', 'L17', ...named])
      const path = flag === '--baseline' ? 'rowhouse-baseline.json' : '/nowhere/file'
      expect(code).toBe(78)
      expect(stderr).toContain(`ERR_CONFIG_INVALID: Cannot write "${path}" for ${flag}: ENOENT`)
    } finally {
      process.chdir(home)
      await rm(link)
      await admin.query('revoke truncate on item from rowhouse_app')
    }
  })
})

describe('rowhouse verify', () => {
  it('attacks the schema, prints one JSON object and writes JUnit and SARIF', async () => {
    const [junit, sarif, audit] = [join(folder, 'verify.xml'), join(folder, 'verify.sarif'), join(folder, 'audit.md')]
    const { code, stdout } = await rowhouse(['verify', '--json', '--junit', junit, '--sarif', sarif, '--report', audit])
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ leaked: 0, void: 0, isolated: true, uncloned: [], empty: [], findings: [] })
    expect(report.controls.fired).toBe(report.controls.total)
    expect(report.refused).toBeGreaterThan(100)
    expect(code).toBe(0)
    expect(await readFile(junit, 'utf8')).toContain(
      `<testsuites name="rowhouse verify" tests="${report.refused + report.notApplicable}" failures="0"`,
    )
    expect(JSON.parse(await readFile(sarif, 'utf8'))).toMatchObject({ runs: [{ results: [] }] })
    expect(await readFile(audit, 'utf8')).toContain(`0 attacks leaked, ${report.refused} were refused`)
  })

  it('keeps its result where a file of it cannot be written', async () => {
    const sarif = join(folder, 'kept.sarif')
    const { code, stdout, stderr } = await rowhouse([
      ...['verify', '--json', '--junit', '/nowhere/verify.xml', '--sarif', sarif],
    ])
    expect(JSON.parse(stdout)).toMatchObject({ leaked: 0, void: 0, isolated: true })
    expect(JSON.parse(await readFile(sarif, 'utf8'))).toMatchObject({ version: '2.1.0' })
    expect(code).toBe(78)
    const said = stderr.trim().split('\n').at(-1) ?? ''
    expect(JSON.parse(said)).toEqual({
      error: {
        code: 'ERR_CONFIG_INVALID',
        message: expect.stringMatching(/^Cannot write "\/nowhere\/verify.xml" for --junit: ENOENT/),
      },
    })
  })

  it('fails and names the attack when a wall is missing', async () => {
    await admin.query('alter table item disable row level security')
    const { code, stdout, stderr } = await rowhouse(['verify'])
    await admin.query('alter table item enable row level security')
    expect(code).toBe(1)
    expect(stdout).toContain('LEAKED RLS-01 select public.item')
    expect(stderr).toMatch(/[1-9]\d* leaked/)
  })

  it('says what it needs', async () => {
    expect(await rowhouse(['verify'], { ROWHOUSE_ADMIN_URL: '' })).toMatchObject({
      code: 78,
      stderr:
        'ERR_ADMIN_REQUIRED: Cannot verify without an operator login: set ROWHOUSE_ADMIN_URL to a superuser of a server for tests\n',
    })
    expect(await rowhouse(['verify'], { DATABASE_URL: '' })).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('set DATABASE_URL'),
    })
  })

  it('reads live data only where that is asked for, and counts what was there to be seen', async () => {
    expect(await rowhouse(['verify', '--live-readonly'])).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('with 0 active tenants'),
    })
    const tenants = createTenantAdmin({ url: database.adminUrl, rootKey: database.rootKey })
    for (const slug of ['acme', 'globex']) {
      const { id } = await tenants.create({ slug, name: slug })
      await admin.query(`insert into item values ($1, 1, 'a')`, [id])
    }
    await tenants.close()
    const { code, stdout } = await rowhouse(['verify', '--live-readonly', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ leaked: 0, refused: 2, notApplicable: 0, isolated: true })
    expect(code).toBe(0)
    await admin.query('alter table item disable row level security')
    expect(await rowhouse(['verify', '--live-readonly'])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('LEAKED public.item'),
    })
    await admin.query('alter table item enable row level security')
  })
})

describe('rowhouse fuzz and inject', () => {
  it('run on scratch databases and end with 0 where nothing was found', async () => {
    const fuzzed = await rowhouse(['fuzz', '--statements', '200', '--seed', '3', '--no-controls', '--json'])
    expect(JSON.parse(fuzzed.stdout)).toMatchObject({ seed: 3, statements: 200, failures: [] })
    expect(fuzzed.code).toBe(0)
    const injected = await rowhouse(['inject', '--limit', '60'])
    expect(injected.stderr).toContain('60 payloads in')
    expect(injected.stderr).toContain('0 reached another tenant')
  })

  it('find what is broken on purpose', async () => {
    const { code, stdout } = await rowhouse(['fuzz', '--statements', '2000', '--weakness', 'update-open'])
    expect(code).toBe(1)
    expect(stdout).toContain('-- smallest that still fails:')
  })
})
