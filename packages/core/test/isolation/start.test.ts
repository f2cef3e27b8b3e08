import { createRowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEmptyDatabase } from '../support/database.ts'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'

let n: Neighbours
beforeAll(async () => {
  n = await createNeighbours()
})
afterAll(() => n.close())

/** Makes a login for one test, with what the test grants it. */
async function login(name: string, grants: string): Promise<string> {
  await n.admin.query(`drop role if exists ${name}; create role ${name} login password 'x' ${grants}`)
  const url = new URL(n.database.appUrl)
  url.username = name
  url.password = 'x'
  return url.href
}

describe('createRowhouse() refuses to start', () => {
  it.each([
    ['as a superuser', 'start_super', 'superuser'],
    ['with BYPASSRLS', 'start_bypass', 'bypassrls in role rowhouse_app'],
    ['as a member of rowhouse_owner', 'start_owner', 'in role rowhouse_owner'],
    ['as a member of a member of rowhouse_owner', 'start_migrator', 'in role rowhouse_migrator'],
  ])('%s', async (_name, role, grants) => {
    const url = await login(role, grants)
    await expect(createRowhouse({ url, rootKey: n.database.rootKey })).rejects.toMatchObject({
      code: 'ERR_ISOLATION_ROLE_BYPASSES_RLS',
      message: expect.stringContaining(`role "${role}"`),
    })
    await n.admin.query(`drop role ${role}`)
  })

  it.each([
    [{ poolSize: 0 }, 'Cannot set poolSize to 0: wanted a whole number from 1 up'],
    [{ lanes: -1 }, 'Cannot set lanes to -1: wanted a whole number from 0 up'],
    [{ connectionsPerServer: 1 }, 'Cannot set connectionsPerServer to 1: wanted a whole number from 2 up'],
    [{ poolSize: Number.NaN }, 'Cannot set poolSize to NaN: wanted a whole number from 1 up'],
  ])('with connections nothing can run on: %o', async (options, message) => {
    await expect(n.open(options)).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID', message })
  })

  it('as a stranger, saying what to grant', async () => {
    const url = await login('start_stranger', '')
    await expect(createRowhouse({ url, rootKey: n.database.rootKey })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.stringContaining('grant rowhouse_app to it'),
    })
    await n.admin.query('drop role start_stranger')
  })

  it('serves a login that is a member of rowhouse_app and of nothing else', async () => {
    const url = await login('start_app', 'in role rowhouse_app')
    const rowhouse = await createRowhouse({ url, rootKey: n.database.rootKey })
    expect(await rowhouse.withTenant('acme', (db) => db.one('select count(*)::int as n from item'))).toEqual({ n: 3 })
    await rowhouse.close()
    await n.admin.query('drop role start_app')
  })

  it('notices a right granted while it runs, with the next connection', async () => {
    const url = await login('start_later', 'in role rowhouse_app')
    const rowhouse = await createRowhouse({ url, rootKey: n.database.rootKey })
    await n.admin.query('alter role start_later bypassrls')
    await expect(
      rowhouse.withTenant('acme', (db) => db.transaction((tx) => tx.query('select 1'))),
    ).rejects.toMatchObject({
      code: 'ERR_ISOLATION_ROLE_BYPASSES_RLS',
    })
    await rowhouse.close()
    await n.admin.query('drop role start_later')
  })

  it('without a URL, without a root key, with a short one, with another installation’s', async () => {
    const { appUrl: url, rootKey } = n.database
    await expect(createRowhouse({ url: undefined, rootKey })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.stringContaining('DATABASE_URL'),
    })
    await expect(createRowhouse({ url, rootKey: undefined })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.stringContaining('ROWHOUSE_ROOT_KEY'),
    })
    await expect(createRowhouse({ url, rootKey: 'abcd' })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.not.stringContaining('abcd'),
    })
    await expect(createRowhouse({ url, rootKey: 'ab'.repeat(32) })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.stringContaining('not the one it was installed with'),
    })
  })

  it('on a database without Rowhouse', async () => {
    const empty = await createEmptyDatabase()
    await expect(createRowhouse({ url: empty.appUrl, rootKey: empty.rootKey })).rejects.toMatchObject({
      code: 'ERR_NOT_INSTALLED',
    })
    await empty.drop()
  })
})
