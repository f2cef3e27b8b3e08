import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { install } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts'

let empty: TestDatabase
let admin: pg.Client
beforeAll(async () => {
  empty = await createEmptyDatabase()
  admin = new pg.Client({ connectionString: empty.adminUrl })
  await admin.connect()
})
afterAll(async () => {
  await admin.end()
  await empty.drop()
})

const options = () => ({ url: empty.adminUrl, rootKey: empty.rootKey })

describe('install()', () => {
  it('shows its SQL in a dry run and changes nothing', async () => {
    const { applied } = await install({ ...options(), dryRun: true })
    expect(applied.map(({ name }) => name)).toEqual([
      '000001-foundation.sql',
      '000002-protect.sql',
      '000003-close.sql',
      '000004-placements.sql',
      '000005-fleet.sql',
      '000006-moves.sql',
      '000007-lifecycle.sql',
      '000008-backups.sql',
      '000009-bulk-moves.sql',
      '000010-captured-values.sql',
    ])
    expect((await admin.query(`select to_regnamespace('rowhouse') as found`)).rows).toEqual([{ found: null }])
  })

  it('leaves nothing of a file that fails, and says which', async () => {
    await admin.query('create schema rowhouse')
    await expect(install(options())).rejects.toMatchObject({
      code: 'ERR_MIGRATION_FAILED',
      message: expect.stringContaining('Cannot apply "000001-foundation.sql": schema "rowhouse" already exists'),
    })
    await admin.query('drop schema rowhouse')
  })

  it('is safe when two install at once, and changes nothing the second time', async () => {
    const reports = await Promise.all([install(options()), install(options())])
    expect(reports.map(({ applied }) => applied.length).sort()).toEqual([0, 10])
    expect((await install(options())).applied).toEqual([])
  })

  it('refuses another root key', async () => {
    await expect(install({ ...options(), rootKey: randomBytes(32).toString('hex') })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.stringContaining('installed with another one'),
    })
  })

  it('refuses a schema that was changed behind its back, and one from the future', async () => {
    await admin.query(`update rowhouse.migration set sha256 = 'x' where version = 1 returning sha256`)
    await expect(install(options())).rejects.toMatchObject({ code: 'ERR_SCHEMA_DRIFT' })
    await admin.query(
      `delete from rowhouse.migration; insert into rowhouse.migration values (99, '000099-later.sql', 'x')`,
    )
    await expect(install(options())).rejects.toMatchObject({
      code: 'ERR_SCHEMA_NEWER',
      message: expect.stringContaining('at version 99'),
    })
  })

  it('says what a login lacks', async () => {
    await admin.query(`drop role if exists install_nobody; create role install_nobody login password 'x'`)
    const other = await createEmptyDatabase()
    const url = new URL(other.adminUrl)
    url.username = 'install_nobody'
    url.password = 'x'
    await expect(install({ url: url.href, rootKey: other.rootKey })).rejects.toMatchObject({
      code: 'ERR_PRIVILEGE_MISSING',
      message: expect.stringContaining('CREATEROLE'),
    })
    await other.drop()
    await admin.query('drop role install_nobody')
  })

  it('refuses without a URL and reports a server that is not there', async () => {
    await expect(install({ ...options(), url: undefined })).rejects.toMatchObject({ code: 'ERR_ADMIN_REQUIRED' })
    await expect(install({ ...options(), url: 'postgres://x@127.0.0.1:1/x' })).rejects.toMatchObject({
      code: 'ERR_DATABASE_UNAVAILABLE',
    })
  })
})
