import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { createTenantAdmin, install, protect } from 'rowhouse/install'
import { type EmbeddedPostgres, startPostgres } from 'rowhouse-embedded'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withAdminClient } from '../support/admin-client.ts'
import { serverMajor } from '../support/database.ts'

/**
 * Installation by a login that is no superuser. Roles belong to a whole server and the shared test server has them
 * already, so this file starts a server of its own, where nobody has installed anything.
 */
let server: EmbeddedPostgres
const rootKey = 'ab'.repeat(32)
const login = { user: 'operator', password: 'operator-password' }
const appPassword = `it's "quoted" \\ and long`

beforeAll(async () => {
  server = await startPostgres({
    major: serverMajor() as 15 | 16 | 17 | 18,
    settings: { fsync: 'off', log_statement: 'all', synchronous_commit: 'off' },
  })
  await withAdminClient(server.url, async (admin) => {
    await admin.query(`create role operator login createrole password '${login.password}'`)
    for (const name of ['first', 'second', 'third', 'foreign_one']) await admin.query(`create database ${name}`)
    for (const name of ['first', 'second', 'third']) await admin.query(`alter database ${name} owner to operator`)
  })
})
afterAll(() => server.stop())

const urlOf = (database: string) => server.urlFor(database, login)

describe('a login with CREATEROLE that owns the database, and no superuser', () => {
  it('installs two databases of one pristine server at once', async () => {
    const installed = await Promise.all(['first', 'second'].map((name) => install({ url: urlOf(name), rootKey })))
    expect(installed.map(({ applied }) => applied.length)).toEqual([10, 10])
  })

  it('lets the application log in, and the password reaches no statement and no server log in clear text', async () => {
    await install({ url: urlOf('first'), rootKey, appPassword })
    await withAdminClient(server.urlFor('first', { user: 'rowhouse_app', password: appPassword }), async (app) => {
      expect((await app.query('select current_user as me')).rows).toEqual([{ me: 'rowhouse_app' }])
    })
    const wrong = new pg.Client({
      connectionString: server.urlFor('first', { user: 'rowhouse_app', password: `${appPassword}x` }),
    })
    await expect(wrong.connect()).rejects.toMatchObject({ code: '28P01' })
    const { rows } = await withAdminClient(server.url, (admin) =>
      admin.query<{ password: string }>(`select rolpassword as password from pg_authid where rolname = 'rowhouse_app'`),
    )
    expect(rows[0]?.password).toMatch(/^SCRAM-SHA-256\$4096:/)
    // The server logs every statement; that it does shows in the verifier.
    const log = readFileSync(join(server.dataDir, 'server.log'), 'utf8')
    expect(log).toContain(`alter role rowhouse_app login password 'SCRAM-SHA-256$4096:`)
    expect(log).not.toContain('and long')
  })

  it('protects tables and administrates tenants afterwards, and never had to be more', async () => {
    const url = urlOf('first')
    await withAdminClient(url, (operator) =>
      operator.query(`create schema app;
        create table app.item (tenant_id uuid not null, id int, label text, primary key (tenant_id, id));
        create table app.port (code text primary key)`),
    )
    const tables = [{ name: 'app.item' }]
    await protect({ url, tables, references: ['app.port'] })
    const [again] = await protect({ url, tables, references: ['app.port'] })
    expect(again).toMatchObject({ changes: [], faults: [] })
    const tenants = createTenantAdmin({ url, rootKey })
    expect(await tenants.create({ slug: 'acme' })).toMatchObject({ slug: 'acme', state: 'active' })
    await tenants.close()
    const { rows } = await withAdminClient(server.url, (admin) =>
      admin.query(`select bool_or(rolsuper or rolbypassrls or rolreplication) as more from pg_roles
                    where rolname = 'operator' or rolname like 'rowhouse%'`),
    )
    expect(rows).toEqual([{ more: false }])
  })

  it('updates an installation again without changing it', async () => {
    expect(await install({ url: urlOf('first'), rootKey })).toMatchObject({ applied: [] })
  })
})

describe('a login that lacks something', () => {
  it('is told what, before anything is made', async () => {
    await withAdminClient(server.url, async (admin) => {
      await admin.query(`create role weak login password '${login.password}'`)
      await admin.query(`create role newcomer login createrole password '${login.password}'`)
      await admin.query('create database newcomers owner newcomer')
    })
    const weak = { ...login, user: 'weak' }
    await expect(install({ url: server.urlFor('third', weak), rootKey })).rejects.toMatchObject({
      code: 'ERR_PRIVILEGE_MISSING',
      message:
        'Cannot install as role "weak": it lacks CREATEROLE and ownership of database third and ownership of schema public' +
        (serverMajor() >= 16
          ? ' and ADMIN OPTION on the roles rowhouse_owner and rowhouse_migrator, which exist on this server already'
          : '') +
        '; install once as a login that has it, no later command needs it',
    })
    await expect(install({ url: urlOf('foreign_one'), rootKey })).rejects.toMatchObject({
      code: 'ERR_PRIVILEGE_MISSING',
      message: expect.stringContaining('it lacks ownership of database foreign_one'),
    })
    const { rows } = await withAdminClient(server.urlFor('third'), (admin) =>
      admin.query(`select to_regnamespace('rowhouse') as made`),
    )
    expect(rows).toEqual([{ made: null }])
  })

  it.runIf(serverMajor() >= 16)('needs ADMIN on roles somebody else made, only from PostgreSQL 16 on', async () => {
    const url = server.urlFor('newcomers', { ...login, user: 'newcomer' })
    await expect(install({ url, rootKey })).rejects.toMatchObject({
      code: 'ERR_PRIVILEGE_MISSING',
      message: expect.stringContaining('ADMIN OPTION on the roles rowhouse_owner and rowhouse_migrator'),
    })
    await withAdminClient(server.url, (admin) =>
      admin.query('grant rowhouse_owner, rowhouse_migrator, rowhouse_app to newcomer with admin option'),
    )
    expect((await install({ url, rootKey })).applied.length).toBe(10)
  })

  it('cannot read or change an installation of somebody else', async () => {
    const url = server.urlFor('first', { ...login, user: 'weak' })
    await expect(install({ url, rootKey })).rejects.toMatchObject({
      code: 'ERR_PRIVILEGE_MISSING',
      message: expect.stringContaining('this login may not become "rowhouse_owner"'),
    })
    await expect(protect({ url, tables: [{ name: 'app.item' }] })).rejects.toMatchObject({
      code: 'ERR_PRIVILEGE_MISSING',
      message: expect.stringContaining('Cannot protect tables with this login'),
    })
    const tenants = createTenantAdmin({ url, rootKey })
    await expect(tenants.list()).rejects.toMatchObject({
      code: 'ERR_PRIVILEGE_MISSING',
      message: expect.stringContaining('Cannot administrate tenants with this login'),
    })
    await tenants.close()
  })

  it('is told apart from a server that is not there: credentials and database names are configuration', async () => {
    const wrong = server.urlFor('first', { user: 'operator', password: 'wrong' })
    await expect(install({ url: wrong, rootKey })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      retryable: false,
      message: expect.stringContaining('Cannot log in as operator'),
    })
    await expect(install({ url: urlOf('nowhere'), rootKey })).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' })
    await expect(install({ url: 'not a url with secret', rootKey })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.not.stringContaining('secret'),
    })
    const gone = createTenantAdmin({ url: 'postgres://x@127.0.0.1:1/x', rootKey })
    await expect(gone.list()).rejects.toMatchObject({ code: 'ERR_DATABASE_UNAVAILABLE', retryable: true })
    await gone.close()
  })
})

describe('install()', () => {
  it('waits for another installer no longer than it was told', async () => {
    await withAdminClient(urlOf('first'), async (other) => {
      await other.query('select pg_advisory_lock(7262374401)')
      await expect(install({ url: urlOf('first'), rootKey, lockTimeoutMs: 50 })).rejects.toMatchObject({
        code: 'ERR_MIGRATION_LOCKED',
        message: expect.stringContaining('held the lock for 0.05 seconds'),
      })
    })
  })

  it('refuses an empty password, which would let anybody in or nobody, and a wait without end', async () => {
    await expect(install({ url: urlOf('first'), rootKey, appPassword: '' })).rejects.toThrow(RangeError)
    await expect(install({ url: urlOf('first'), rootKey, lockTimeoutMs: 0 })).rejects.toThrow(
      'wanted lockTimeoutMs from 1 to 3600000',
    )
  })

  it('says that Rowhouse is not installed, to those who need it', async () => {
    await expect(protect({ url: urlOf('third'), tables: [{ name: 'x' }] })).rejects.toMatchObject({
      code: 'ERR_NOT_INSTALLED',
      message: expect.stringContaining('run "rowhouse install" first'),
    })
    const tenants = createTenantAdmin({ url: urlOf('third'), rootKey })
    await expect(tenants.list()).rejects.toMatchObject({ code: 'ERR_NOT_INSTALLED' })
    await tenants.close()
  })
})
