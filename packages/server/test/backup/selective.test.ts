import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BackupPlatform, digestOf, makeTenant, openBackupPlatform } from './backup-room.ts'

let room: BackupPlatform
let tenantId: string
let neighbourId: string
let name: string

beforeAll(async () => {
  room = await openBackupPlatform()
  tenantId = (await makeTenant(room.platform, 'acme', 'pooled', 100)).id
  neighbourId = (await makeTenant(room.platform, 'neighbour', 'pooled', 100)).id
  name = (await room.backups.create('acme')).name
})
afterAll(() => room.close())

const run = (text: string) => room.platform.admin.query(text, [tenantId])
const digest = (id = tenantId) => digestOf(room.platform.admin, 'public', id)

describe('rows that were deleted, changed and added since a backup', () => {
  it('are counted with their keys, and nothing is written', async () => {
    expect(await room.backups.diff(name)).toEqual(
      ['flag', 'shipment', 'visit', 'leg'].map((table) =>
        expect.objectContaining({ table, missing: 0, extra: 0, changed: 0 }),
      ),
    )
    await run('delete from leg where tenant_id = $1 and id <= (select min(id) + 9 from leg where tenant_id = $1)')
    await run(`update shipment set weight = 1, facts = null where tenant_id = $1 and reference = 'r50'`)
    await run(`insert into visit (tenant_id, what) values ($1, 'since')`)
    await run(`delete from visit where tenant_id = $1 and what = ''`)
    const before = await digest()
    const diff = await room.backups.diff(name)
    expect(diff.find(({ table }) => table === 'leg')).toMatchObject({ same: 90, missing: 10, extra: 0, changed: 0 })
    const shipment = diff.find(({ table }) => table === 'shipment')
    expect(shipment).toMatchObject({ same: 99, missing: 0, extra: 0, changed: 1 })
    expect(shipment?.keys.changed).toEqual([{ id: expect.stringMatching(/^\d+$/) }])
    expect(diff.find(({ table }) => table === 'visit')).toMatchObject({
      ...{ same: 1, missing: 1, extra: 1, changed: 0 },
      keys: { missing: [{ what: '' }], extra: [{ what: 'since' }], changed: [] },
    })
    expect(await digest()).toEqual(before)
  })

  it('come back by a merge, which leaves the others as they are', async () => {
    const neighbour = await digest(neighbourId)
    expect(await room.backups.merge(name)).toEqual([
      { table: 'flag', inserted: 0, updated: 0 },
      { table: 'shipment', inserted: 0, updated: 0 },
      { table: 'visit', inserted: 1, updated: 0 },
      { table: 'leg', inserted: 10, updated: 0 },
    ])
    const [shipment, visit] = await Promise.all(
      ['shipment', 'visit'].map(async (table) => (await room.backups.diff(name, undefined, { tables: [table] }))[0]),
    )
    expect(shipment).toMatchObject({ changed: 1 })
    expect(visit).toMatchObject({ missing: 0, extra: 1 })
    expect(await digest(neighbourId)).toEqual(neighbour)
  })

  it('get their old values where that is asked for', async () => {
    expect(await room.backups.merge(name, 'acme', { changed: true, tables: ['shipment'] })).toEqual([
      { table: 'shipment', inserted: 0, updated: 1 },
    ])
    expect((await room.backups.diff(name)).every(({ missing, changed }) => missing + changed === 0)).toBe(true)
    await expect(room.backups.merge(name, 'neighbour')).rejects.toMatchObject({ code: 'ERR_ARTEFACT_FOREIGN' })
  })

  it('of a table that does not stand alone are not brought back without the rows they belong to', async () => {
    const before = await digest()
    await run(`delete from shipment where tenant_id = $1 and reference = 'r50'`)
    await expect(room.backups.merge(name, 'acme', { tables: ['leg'] })).rejects.toMatchObject({
      code: 'ERR_RESTORE_UNPROVEN',
      message: expect.stringContaining(
        '1 rows of "leg" refer to rows of "shipment" that are not there (leg_tenant_id_shipment_id_fkey); restore those tables as well',
      ),
    })
    await room.backups.merge(name, 'acme')
    expect(await digest()).toEqual(before)
  })
})

describe('chosen tables', () => {
  it('are replaced, and the others stay', async () => {
    await run(`update leg set note = 'gone' where tenant_id = $1`)
    expect(await room.backups.restore(name, 'acme', { tables: ['leg'] })).toMatchObject({ tables: 1, rows: 100 })
    const diff = await room.backups.diff(name)
    expect(diff.find(({ table }) => table === 'leg')).toMatchObject({ same: 100, changed: 0 })
    expect(diff.find(({ table }) => table === 'visit')).toMatchObject({ extra: 1 })
  })

  it('that the backup has not are refused', async () => {
    await expect(room.backups.restore(name, 'acme', { tables: ['legs'] })).rejects.toThrow(
      new RangeError(`Cannot restore "legs": artefact "${name}" has no such table`),
    )
  })

  it('that are newer than the backup and hold rows stop a whole restore', async () => {
    await room.platform.admin.query(`create table later (tenant_id uuid not null, id int, primary key (tenant_id, id));
      alter table later owner to rowhouse_owner; select rowhouse.protect('later')`)
    await room.backups.restore(name)
    await run('insert into later values ($1, 1)')
    await expect(room.backups.restore(name)).rejects.toMatchObject({
      code: 'ERR_SCHEMA_DRIFT',
      message: expect.stringContaining('table "later" has rows and is not in the backup'),
    })
    await room.platform.admin.query('drop table later')
  })
})
