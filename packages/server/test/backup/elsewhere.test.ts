import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BackupPlatform, digestOf, makeTenant, openBackupPlatform } from './backup-room.ts'

let room: BackupPlatform
let tenantId: string
let name: string
let digest: Record<string, string>

beforeAll(async () => {
  room = await openBackupPlatform()
  tenantId = (await makeTenant(room.platform, 'acme', 'pooled', 100)).id
  name = (await room.backups.create('acme')).name
  digest = await digestOf(room.platform.admin, 'public', tenantId)
})
afterAll(() => room.close())

describe('a backup of a pooled tenant', () => {
  it.each([
    ['pooled', 'main'],
    ['schema', 'main'],
    ['database', 'main'],
    ['schema', 'old-1'],
    ['database', 'old-1'],
  ] as const)('becomes a new %s tenant on %s, beside the old one', async (model, server) => {
    const slug = `copy-${model}-${server}`
    const request = { slug, wish: { model, server } }
    const report = await room.backups.restoreAs(room.platform.plane, name, request)
    expect(report).toMatchObject({ tenant: slug, rows: 203, tables: 4 })
    const made = await room.platform.plane.tenants.find(slug)
    expect(made).toMatchObject({ state: 'active', placement: { model, server } })
    const base = new URL(server === 'main' ? room.platform.central.adminUrl : room.platform.old.url)
    if (made?.placement.database !== undefined) base.pathname = `/${made.placement.database}`
    const client = new pg.Client({ connectionString: base.href })
    await client.connect()
    expect(await digestOf(client, made?.placement.schema ?? 'public', made?.id ?? '')).toEqual(digest)
    await client.end()
    const app = await room.platform.openApp()
    const insert = `insert into shipment (reference) values ('next') returning id::int`
    const read = () => app.withTenant(slug, (db) => db.many(`select count(*)::int as n from leg`))
    expect(await read()).toEqual([{ n: 100 }])
    await app.withTenant(slug, (db) => db.many(insert))
    expect(await digestOf(room.platform.admin, 'public', tenantId)).toEqual(digest)
    // A backup of the copy is the copy's.
    const own = await room.backups.create(slug)
    expect(await room.backups.restore(own.name)).toMatchObject({ tenant: slug, rows: 204 })
  })

  it('is made once of the same request', async () => {
    await expect(
      room.backups.restoreAs(room.platform.plane, name, { slug: 'copy-schema-main', plan: 'other' }),
    ).rejects.toMatchObject({ code: 'ERR_IDEMPOTENCY_KEY_REUSED' })
  })
})

describe('an export for the tenant', () => {
  it.each(['csv', 'jsonl'] as const)(
    'as %s holds its rows, their shape, digests and no other tenant',
    async (format) => {
      await makeTenant(room.platform, `stranger-${format}`, 'pooled', 3)
      const folder = join(room.folder, `export-${format}`)
      expect(await room.backups.export('acme', folder, format)).toMatchObject({ tenant: 'acme', tables: 4, rows: 203 })
      expect((await readdir(folder)).sort()).toEqual([
        'README.md',
        'SHA256SUMS',
        `flag.${format}`,
        `leg.${format}`,
        'schema.json',
        'schema.sql',
        `shipment.${format}`,
        `visit.${format}`,
      ])
      for (const line of (await readFile(join(folder, 'SHA256SUMS'), 'utf8')).trim().split('\n')) {
        const [sha256, file = ''] = line.split('  ')
        expect(
          createHash('sha256')
            .update(await readFile(join(folder, file)))
            .digest('hex'),
        ).toBe(sha256)
      }
      const all = (await Promise.all((await readdir(folder)).map((file) => readFile(join(folder, file), 'utf8')))).join(
        '\n',
      )
      expect(all).not.toMatch(/postgres:\/\/|rowhouse_app|tenant_id/)
      expect(all).not.toContain(room.platform.central.rootKey)
      if (format === 'jsonl') {
        const rows = (await readFile(join(folder, 'shipment.jsonl'), 'utf8'))
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
        expect(rows).toHaveLength(100)
        expect(rows.map(({ reference }) => reference)).toContain(`Grüße\t\n\r\\N \\. 日本 '"`)
      }
      await expect(room.backups.export('acme', folder, format)).rejects.toMatchObject({
        code: 'ERR_ARTEFACT_STORE',
        message: `Cannot write "${folder}": it is there already; name another folder`,
      })
    },
  )

  it('has SQL that makes the tables, and CSV that PostgreSQL reads', async () => {
    const folder = join(room.folder, 'export-csv')
    const { admin } = room.platform
    await admin.query('create schema elsewhere; set search_path = elsewhere')
    await admin.query(await readFile(join(folder, 'schema.sql'), 'utf8'))
    const { from } = await import('pg-copy-streams')
    const { pipeline } = await import('node:stream/promises')
    const { createReadStream } = await import('node:fs')
    await pipeline(
      createReadStream(join(folder, 'shipment.csv')),
      admin.query(from('copy shipment from stdin (format csv, header match)')),
    )
    const { rows } = await admin.query('select count(*)::int as n, count(mood)::int as moods from shipment')
    expect(rows).toEqual([{ n: 100, moods: 67 }])
    await admin.query('reset search_path; drop schema elsewhere cascade')
  })
})

describe('a rehearsal', () => {
  it('restores the newest backup beside everything, reports, and leaves nothing behind', async () => {
    await room.backups.create('acme')
    const newest = (await room.backups.list('acme')).at(-1)
    expect(await room.backups.drill('acme')).toMatchObject({
      name: newest?.name,
      tenant: 'acme',
      rows: 203,
      sharedReferences: [],
    })
    expect(await room.backups.drill('acme', { server: 'old-1' })).toMatchObject({ rows: 203 })
    const { rows } = await room.platform.admin.query(
      `select datname from pg_database where datname like 'rowhouse_drill%'`,
    )
    expect(rows).toEqual([])
    expect(await room.platform.plane.findOrphans()).toEqual([])
    expect(await digestOf(room.platform.admin, 'public', tenantId)).toEqual(digest)
  })

  it('of a tenant without a backup says so', async () => {
    await makeTenant(room.platform, 'unsaved', 'pooled', 1)
    await expect(room.backups.drill('unsaved')).rejects.toMatchObject({
      code: 'ERR_ARTEFACT_NOT_FOUND',
      message: 'Cannot rehearse a restore of tenant "unsaved": it has no backup',
    })
  })
})
