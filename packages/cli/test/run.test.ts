import { execFile } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { run } from 'rowhouse-cli'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../core/test/support/database.ts'

let database: TestDatabase
let env: Record<string, string>
beforeAll(async () => {
  database = await createTestDatabase()
  env = { ROWHOUSE_ADMIN_URL: database.adminUrl, DATABASE_URL: database.appUrl, ROWHOUSE_ROOT_KEY: database.rootKey }
  const admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  await admin.query(
    'create table item (tenant_id uuid not null, id int, label text, primary key (tenant_id, id)); create table bare (id int primary key)',
  )
  await admin.end()
})
afterAll(() => database.drop())

async function rowhouse(argv: string[], environment: Record<string, string> = env) {
  let stdout = ''
  let stderr = ''
  const code = await run(argv, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    env: environment,
  })
  return { code, stdout, stderr }
}

describe('rowhouse', () => {
  it('install is up to date on an installed database, in words and in JSON', async () => {
    expect(await rowhouse(['install'])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('up to date'),
    })
    expect(JSON.parse((await rowhouse(['install', '--json'])).stdout)).toEqual({
      version: 10,
      dryRun: false,
      applied: [],
    })
  })

  it('protect --dry-run prints SQL and nothing else to stdout; protect makes the changes', async () => {
    const dry = await rowhouse(['protect', 'item', '--dry-run'])
    expect(dry.code).toBe(0)
    expect(
      dry.stdout
        .trim()
        .split('\n')
        .every((line) => line.endsWith(';')),
    ).toBe(true)
    expect(await rowhouse(['protect', 'item'])).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('7 changes made'),
    })
    expect(await rowhouse(['protect', 'item'])).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('0 changes made'),
    })
  })

  it('protect ends with 3 and the mending SQL where a table is not ready', async () => {
    const refused = await rowhouse(['protect', 'bare', '--json'])
    expect(refused.code).toBe(3)
    expect(JSON.parse(refused.stderr)).toMatchObject({
      error: { code: 'ERR_ISOLATION_TABLE_UNPROTECTABLE', faults: [{ code: 'no-tenant-id' }] },
    })
  })

  it('tenant create, list, show, suspend, resume, rotate-key, retire-key', async () => {
    expect(await rowhouse(['tenant', 'create', 'acme', '--name', 'Acme'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/acme +Acme +active/),
    })
    expect(await rowhouse(['tenant', 'create', 'acme'])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('ERR_TENANT_SLUG_TAKEN'),
    })
    expect(await rowhouse(['tenant', 'create', 'www'])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('reserved'),
    })
    expect(JSON.parse((await rowhouse(['tenant', 'list', '--json'])).stdout)).toMatchObject([
      { slug: 'acme', keyVersion: 1 },
    ])
    expect(JSON.parse((await rowhouse(['tenant', 'rotate-key', 'acme', '--json'])).stdout)).toMatchObject({
      keyVersion: 2,
      oldKeyAccepted: true,
    })
    expect(JSON.parse((await rowhouse(['tenant', 'retire-key', 'acme', '--json'])).stdout)).toMatchObject({
      oldKeyAccepted: false,
    })
    expect(await rowhouse(['tenant', 'suspend', 'acme'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('suspended'),
    })
    expect(await rowhouse(['query', '--tenant', 'acme', 'select 1'])).toMatchObject({ code: 4 })
    expect(await rowhouse(['tenant', 'resume', 'acme'])).toMatchObject({ code: 0 })
    expect(await rowhouse(['tenant', 'show', 'nobody'])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('ERR_TENANT_NOT_FOUND'),
    })
  })

  it('query reads as the tenant, refuses to write, writes with --write', async () => {
    const insert = `insert into item (id, label) values (1, 'own')`
    expect(await rowhouse(['query', '--tenant', 'acme', insert])).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('ERR_READ_ONLY'),
    })
    expect(await rowhouse(['query', '--tenant', 'acme', '--write', insert])).toMatchObject({
      code: 0,
      stderr: 'INSERT 1\n',
    })
    expect(
      JSON.parse((await rowhouse(['query', '--tenant', 'acme', '--json', 'select label from item'])).stdout),
    ).toEqual({
      command: 'SELECT',
      rowCount: 1,
      rows: [{ label: 'own' }],
    })
    expect(await rowhouse(['query', '--tenant', 'acme', 'selec'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('42601'),
    })
  })

  it('explain shows what is sent and that the index serves the policy', async () => {
    const { code, stdout, stderr } = await rowhouse(['explain', '--tenant', 'acme', 'select * from item where id = 1'])
    expect(code).toBe(0)
    expect(stderr).toContain('RESET ALL')
    expect(stdout).toContain('InitPlan')
  })

  it('ends with 2 and a suggestion for what makes no command', async () => {
    expect(await rowhouse(['query', '--tenent', 'acme', 'select 1'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('did you mean --tenant'),
    })
    expect(await rowhouse(['instal'])).toMatchObject({ code: 2, stderr: expect.stringContaining('install') })
  })

  it('ends with 78 and the remedy without settings, and reads secrets from files', async () => {
    expect(await rowhouse(['tenant', 'list'], {})).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('ROWHOUSE_ROOT_KEY'),
    })
    const file = join(mkdtempSync(join(tmpdir(), 'rowhouse-cli-')), 'key')
    writeFileSync(file, `${database.rootKey}\n`)
    const fromFile = { ROWHOUSE_ADMIN_URL: database.adminUrl, ROWHOUSE_ROOT_KEY_FILE: file }
    expect(await rowhouse(['tenant', 'list'], fromFile)).toMatchObject({ code: 0 })
    expect(await rowhouse(['tenant', 'list'], { ...fromFile, ROWHOUSE_ROOT_KEY_FILE: '/nowhere' })).toMatchObject({
      code: 78,
    })
  })

  it('runs as a process of its own', async () => {
    const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
    const args = ['--conditions=source', '--import', 'tsx', main, 'tenant', 'list', '--json']
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env } })
    expect(JSON.parse(stdout)).toMatchObject([{ slug: 'acme' }])
  })
})
