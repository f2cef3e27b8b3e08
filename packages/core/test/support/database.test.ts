import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { withAdminClient } from './admin-client.ts'
import { createEmptyDatabase, createTestDatabase, serverMajor, type TestDatabase } from './database.ts'

const made: TestDatabase[] = []
afterAll(() => Promise.all(made.map((database) => database.drop())))

async function make(create = createTestDatabase): Promise<TestDatabase> {
  const database = await create()
  made.push(database)
  return database
}

const RIGHTS = `select acl.grantee::regrole::text as grantee, acl.privilege_type, acl.is_grantable
  from pg_database, aclexplode(datacl) acl where datname = $1 order by 1, 2`

describe('createTestDatabase()', () => {
  it('gives each caller a database of its own, also when many ask at once', async () => {
    const databases = await Promise.all(Array.from({ length: 8 }, () => make()))
    expect(new Set(databases.map((database) => database.name)).size).toBe(8)
    const { adminUrl = '' } = databases[0] ?? {}
    const other = databases[1]?.adminUrl ?? ''
    await withAdminClient(adminUrl, (client) => client.query('create table only_here ()'))
    await expect(withAdminClient(other, (client) => client.query('select from only_here'))).rejects.toMatchObject({
      code: '42P01',
      message: 'relation "only_here" does not exist',
    })
  })

  it('has Rowhouse installed, on the major of the project', async () => {
    const { adminUrl } = await make()
    const { rows } = await withAdminClient(adminUrl, (client) =>
      client.query(`select count(*)::int as migrations, current_setting('server_version_num')::int / 10000 as major
        from rowhouse.migration`),
    )
    expect(rows[0].migrations).toBeGreaterThan(0)
    expect(rows[0].major).toBe(serverMajor())
  })

  it('logs the application in as rowhouse_app, with a password', async () => {
    const { appUrl, appPassword } = await make()
    expect(new URL(appUrl).password).toBe(appPassword)
    const { rows } = await withAdminClient(appUrl, (client) => client.query('select current_user'))
    expect(rows).toEqual([{ current_user: 'rowhouse_app' }])
  })

  it('takes the same rights away as the installer does, which a bare clone would give back', async () => {
    const { adminUrl, appUrl, name } = await make()
    await expect(
      withAdminClient(appUrl, (client) => client.query('create temporary table shadow ()')),
    ).rejects.toMatchObject({ code: '42501', message: expect.stringContaining('permission denied') })

    const bare = `${name}_bare`
    await withAdminClient(new URL('/postgres', adminUrl).href, async (admin) => {
      await admin.query(`create database ${bare} template ${name}`)
      try {
        const url = new URL(appUrl)
        url.pathname = `/${bare}`
        await withAdminClient(url.href, (client) => client.query('create temporary table shadow ()'))
        expect((await admin.query(RIGHTS, [bare])).rows).toEqual([])
        expect((await admin.query(RIGHTS, [name])).rows).not.toEqual([])
      } finally {
        await admin.query(`drop database ${bare} with (force)`)
      }
    })
  })

  it('removes the database on drop, also with connections open and when called twice', async () => {
    const database = await createTestDatabase()
    const left = new pg.Client({ connectionString: database.appUrl })
    left.on('error', () => {})
    await left.connect()
    await database.drop()
    await database.drop()
    await expect(withAdminClient(database.adminUrl, (client) => client.query('select'))).rejects.toMatchObject({
      code: '3D000',
      message: `database "${database.name}" does not exist`,
    })
    await left.end().catch(() => {})
  })
})

describe('createEmptyDatabase()', () => {
  it('makes a database without Rowhouse', async () => {
    const { adminUrl } = await make(createEmptyDatabase)
    const { rows } = await withAdminClient(adminUrl, (client) =>
      client.query(`select to_regnamespace('rowhouse') as schema`),
    )
    expect(rows).toEqual([{ schema: null }])
  })
})
