import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { run } from 'rowhouse-cli'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../../core/test/support/database.ts'

let database: TestDatabase
let folder: string
beforeAll(async () => {
  database = await createTestDatabase()
  folder = mkdtempSync(join(tmpdir(), 'rowhouse-usage-'))
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await database.drop()
})

async function rowhouse(argv: string[], env: Record<string, string> = {}) {
  let stdout = ''
  let stderr = ''
  const code = await run(argv, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    env,
  })
  return { code, stdout, stderr }
}

describe('what makes no command ends with 2, says what was wanted, and touches nothing', () => {
  it.each([
    [['tennant', 'list'], 'did you mean `tenant`?'],
    [['tenant', 'lst'], 'did you mean `list`?'],
    [['tenant', 'list', '--jsn'], 'did you mean --json?'],
    [['tenant', 'list', '--limit', 'abc'], 'wanted a whole number from 1 to 1000'],
    [['tenant', 'list', '--limit', '0'], 'wanted a whole number from 1 to 1000'],
    [['tenant', 'create', 'acme', '--id', 'x'], 'lower-case UUID'],
    [['query', 'select 1'], '--tenant'],
    [['query', '--tenant', 'acme', '--unit', 'x', 'select 1'], 'lower-case UUID'],
    [['protect'], 'Expected at least 1 argument(s) for table'],
    [['demo', '--port', '99999'], 'wanted a whole number from 0 to 65535'],
  ])('%j', async (argv, wanted) => {
    expect(await rowhouse(argv)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(wanted) })
  })

  it.each(['--root-key', '--admin-url', '--password', '--database-url'])('%s: no secret is a flag', async (flag) => {
    expect(await rowhouse(['install', flag, 'secret'])).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('rowhouse', () => {
  it('--version is the one of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
    expect(await rowhouse(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` })
  })

  it('reads the operator’s URL from a file, which goes before the environment', async () => {
    const path = join(folder, 'admin-url')
    writeFileSync(path, `${database.adminUrl}\n`)
    const env = { ROWHOUSE_ROOT_KEY: database.rootKey, ROWHOUSE_ADMIN_URL: 'postgres://x@127.0.0.1:1/x' }
    expect(await rowhouse(['tenant', 'list'], env)).toMatchObject({ code: 69 })
    expect(await rowhouse(['tenant', 'list', '--admin-url-file', path], env)).toMatchObject({ code: 0 })
    expect(await rowhouse(['install', '--admin-url-file', path], env)).toMatchObject({ code: 0 })
    expect(await rowhouse(['install', '--admin-url-file', '/nowhere'], env)).toMatchObject({
      code: 78,
      stderr: expect.stringContaining(
        'ERR_CONFIG_INVALID: Cannot read the file "/nowhere" that --admin-url-file names',
      ),
    })
  })

  it('install --dry-run prints SQL that a database takes as it stands', async () => {
    const empty = await createEmptyDatabase()
    const env = { ROWHOUSE_ADMIN_URL: empty.adminUrl, ROWHOUSE_ROOT_KEY: empty.rootKey }
    const { code, stdout } = await rowhouse(['install', '--dry-run'], env)
    expect(code).toBe(0)
    const admin = new pg.Client({ connectionString: empty.adminUrl })
    await admin.connect()
    await admin.query(`begin; ${stdout}; rollback`)
    expect((await admin.query(`select to_regnamespace('rowhouse') as made`)).rows).toEqual([{ made: null }])
    await admin.end()
    await empty.drop()
  })

  it('tells apart an installation that is missing, a login that is refused and another root key', async () => {
    const empty = await createEmptyDatabase()
    const env = { ROWHOUSE_ADMIN_URL: empty.adminUrl, ROWHOUSE_ROOT_KEY: empty.rootKey }
    expect(await rowhouse(['tenant', 'list'], env)).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('ERR_NOT_INSTALLED'),
    })
    const asApp = { ...env, ROWHOUSE_ADMIN_URL: database.appUrl }
    expect(await rowhouse(['tenant', 'list'], asApp)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('ERR_PRIVILEGE_MISSING: Cannot administrate tenants with this login'),
    })
    const otherKey = { ROWHOUSE_ADMIN_URL: database.adminUrl, ROWHOUSE_ROOT_KEY: 'cd'.repeat(32) }
    expect(await rowhouse(['tenant', 'create', 'acme'], otherKey)).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('ERR_CONFIG_INVALID'),
    })
    await empty.drop()
  })
})
