import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { folderStore } from '../../src/index.ts'
import { type BackupPlatform, digestOf, filesIn, makeTenant, openBackupPlatform } from './backup-room.ts'

let room: BackupPlatform

beforeAll(async () => {
  room = await openBackupPlatform()
  await makeTenant(room.platform, 'neighbour', 'pooled', 50)
})
afterAll(() => room.close())

async function onHome<T>(slug: string, fn: (client: pg.Client, schema: string, id: string) => Promise<T>): Promise<T> {
  const { placement, id } = (await room.platform.plane.tenants.find(slug)) ?? never()
  const url = new URL(room.platform.central.adminUrl)
  if (placement.database !== undefined) url.pathname = `/${placement.database}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    return await fn(client, placement.schema ?? 'public', id)
  } finally {
    await client.end()
  }
}

function never(): never {
  throw new Error('the tenant of this test is gone')
}

const digest = (slug: string) => onHome(slug, digestOf)

describe.each(['pooled', 'schema', 'database'] as const)('backup and restore of a %s tenant', (model) => {
  const slug = `whole-${model}`

  it('brings every row back as it was, and leaves the neighbours alone', async () => {
    await makeTenant(room.platform, slug, model)
    const before = await digest(slug)
    const neighbour = await digest('neighbour')
    const { name, rows, tables } = await room.backups.create(slug)
    expect({ rows, tables }).toEqual({ rows: 603, tables: 4 })
    await onHome(slug, async (client, schema, id) => {
      await client.query(`delete from ${schema}.leg where tenant_id = $1`, [id])
      await client.query(`update ${schema}.shipment set price = 0 where tenant_id = $1`, [id])
      await client.query(`insert into ${schema}.visit (tenant_id, what) values ($1, 'since')`, [id])
      await client.query(`delete from ${schema}.flag where tenant_id = $1`, [id])
    })
    expect(await digest(slug)).not.toEqual(before)
    expect(await room.backups.restore(name)).toMatchObject({ tenant: slug, rows: 603, tables: 4, filled: [] })
    expect(await digest(slug)).toEqual(before)
    expect(await digest('neighbour')).toEqual(neighbour)
  })

  it('goes on numbering where it stopped', async () => {
    const app = await room.platform.openApp()
    const [made] = await app.withTenant(slug, (db) =>
      db.many<{ id: string; last: string }>(
        `insert into shipment (reference) values ('next') returning id, (select max(id) from shipment) as last`,
      ),
    )
    expect(Number(made?.id)).toBeGreaterThan(Number(made?.last))
  })

  it('holds one moment, whatever is written meanwhile', async () => {
    const backups = await room.open({
      store: {
        ...folderStore(room.folder),
        begin: async (name) => {
          await onHome(slug, (client, schema, id) =>
            client.query(`insert into ${schema}.visit (tenant_id, what) values ($1, 'too late')`, [id]),
          )
          return folderStore(room.folder).begin(name)
        },
      },
    })
    const { name } = await backups.create(slug)
    const diff = await room.backups.diff(name)
    expect(diff.find(({ table }) => table === 'visit')).toMatchObject({ missing: 0, extra: 1, same: 2 })
  })

  it('is refused by no policy and fires no trigger', async () => {
    const { name } = await room.backups.create(slug)
    await onHome(slug, async (client, schema) => {
      await client.query(`create function ${schema}.shout_${model}() returns trigger language plpgsql as $$ begin raise 'fired'; end $$;
        create trigger shout before insert or delete on ${schema}.leg for each row execute function ${schema}.shout_${model}()`)
    })
    await room.backups.restore(name)
    await onHome(slug, (client, schema) => client.query(`drop function ${schema}.shout_${model} cascade`))
  })
})

describe('an artefact', () => {
  it('holds no row and no name of a column in the clear, and its files are for their user alone', async () => {
    const files = await filesIn(room.folder)
    const data = [...files].filter(([path]) => path.endsWith('.rows'))
    expect(data.length).toBeGreaterThan(0)
    for (const [, bytes] of data) expect(bytes.includes('harbour')).toBe(false)
  })

  it('is listed oldest first, by tenant', async () => {
    const all = await room.backups.list()
    const own = await room.backups.list('whole-schema')
    expect(own.length).toBeGreaterThan(1)
    expect(all.length).toBeGreaterThan(own.length)
    expect(own).toEqual(
      own.toSorted((a, b) => ('takenAt' in a && 'takenAt' in b ? a.takenAt.localeCompare(b.takenAt) : 0)),
    )
  })

  it('is verified without a database', async () => {
    const { name } = await room.backups.create('neighbour')
    expect(await room.backups.verify(name)).toMatchObject({ name, tenant: 'neighbour', rows: 103, tables: 4 })
  })

  it('of a tenant that is not there, or with another root key, is not made', async () => {
    await expect(room.backups.create('nobody')).rejects.toMatchObject({
      code: 'ERR_TENANT_NOT_FOUND',
      message: 'Cannot find tenant "nobody": it does not exist',
    })
    const wrong = await room.open({ rootKey: 'ab'.repeat(32) })
    await expect(wrong.create('neighbour')).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.stringContaining('the root key is not the one its database was installed with'),
    })
  })
})
