import { writeFileSync } from 'node:fs'
import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseRootKey } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Manifest, signManifest } from '../../src/backup/manifest.ts'
import { type BackupPlatform, digestOf, makeTenant, openBackupPlatform } from './backup-room.ts'

let room: BackupPlatform
let name: string
let other: string
let tenantId: string

beforeAll(async () => {
  room = await openBackupPlatform()
  tenantId = (await makeTenant(room.platform, 'acme', 'pooled', 20_000)).id
  await makeTenant(room.platform, 'rival', 'pooled', 20)
  name = (await room.backups.create('acme')).name
  other = (await room.backups.create('acme')).name
})
afterAll(() => room.close())

const digest = () => digestOf(room.platform.admin, 'public', tenantId)

/** Makes a copy of the backup under another name, changes it, and returns that name. */
let copies = 0
async function altered(change: (folder: string) => Promise<unknown>): Promise<string> {
  const copy = `${name.slice(0, -8)}${(copies++).toString(16).padStart(8, 'f')}`
  const folder = join(room.folder, copy)
  await cp(join(room.folder, name), folder, { recursive: true })
  await change(folder)
  return copy
}

const withManifest = (change: (manifest: Record<string, unknown>) => void) => async (folder: string) => {
  const path = join(folder, 'manifest.json')
  const manifest = JSON.parse(await readFile(path, 'utf8'))
  change(manifest)
  await writeFile(path, JSON.stringify(manifest))
}

const FRAME = 5 + 16

/** Where the frames of a file begin. */
function framesOf(bytes: Buffer): { from: number; to: number }[] {
  const frames: { from: number; to: number }[] = []
  for (let from = 0; from < bytes.length; ) {
    const to = from + FRAME + bytes.readUInt32BE(from + 1)
    frames.push({ from, to })
    from = to
  }
  return frames
}

/** Writes what `change` makes of a file of rows. */
const withRows =
  (change: (bytes: Buffer, frames: { from: number; to: number }[]) => Buffer) => async (folder: string) => {
    const path = join(folder, await largest(folder))
    const bytes = await readFile(path)
    writeFileSync(path, change(bytes, framesOf(bytes)))
  }

async function largest(folder: string): Promise<string> {
  const { tables } = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as Manifest
  return [...tables].sort((a, b) => b.file.bytes - a.file.bytes)[0]?.file.name ?? ''
}

const part = (bytes: Buffer, frame?: { from: number; to: number }) => bytes.subarray(frame?.from, frame?.to)

const DAMAGES: Record<string, { change: (folder: string) => Promise<unknown>; says: string }> = {
  'a bit of a row is flipped': {
    change: withRows((bytes, [first]) => {
      const at = (first?.from ?? 0) + 100
      bytes[at] = (bytes[at] ?? 0) ^ 1
      return bytes
    }),
    says: 'frame 0 is altered, moved, or of another artefact',
  },
  'two frames change places': {
    change: withRows((bytes, [a, b, ...rest]) =>
      Buffer.concat([part(bytes, b), part(bytes, a), ...rest.map((frame) => part(bytes, frame))]),
    ),
    says: 'frame 0 is altered, moved, or of another artefact',
  },
  'a frame is left out': {
    change: withRows((bytes, [a, , ...rest]) =>
      Buffer.concat([part(bytes, a), ...rest.map((frame) => part(bytes, frame))]),
    ),
    says: 'frame 1',
  },
  'the last frame is cut off': {
    change: withRows((bytes, frames) => bytes.subarray(0, frames.at(-1)?.from)),
    says: 'it is cut off in frame',
  },
  'a frame is cut in two': {
    change: async (folder) => truncate(join(folder, await largest(folder)), 1_000),
    says: 'it is cut off in frame 0',
  },
  'a frame is called the last': {
    change: withRows((bytes, [a]) => {
      bytes[a?.from ?? 0] = 1
      return bytes.subarray(0, a?.to)
    }),
    says: 'frame 0, its last, is altered',
  },
  'bytes come after the last frame': {
    change: withRows((bytes) => Buffer.concat([bytes, Buffer.from('more')])),
    says: 'it goes on after its last frame',
  },
  'a header says four gigabytes': {
    change: withRows((bytes) => {
      bytes.writeUInt32BE(0xffffffff, 1)
      return bytes
    }),
    says: 'frame 0 has a header that was never written',
  },
  'a file is another artefact’s': {
    change: async (folder) => cp(join(room.folder, other, await largest(folder)), join(folder, await largest(folder))),
    says: 'frame 0 is altered, moved, or of another artefact',
  },
  'two files change names': {
    change: async (folder) => cp(join(folder, '0001.rows'), join(folder, '0002.rows')),
    says: 'altered, moved, or of another artefact',
  },
  'a file is gone': {
    change: async (folder) => rm(join(folder, await largest(folder))),
    says: '.rows" is gone; use another backup',
  },
  'the manifest counts one row less': {
    change: withManifest((manifest) => {
      const [table] = manifest.tables as { rows: number }[]
      if (table !== undefined) table.rows -= 1
    }),
    says: 'the signature does not fit its manifest',
  },
  'the manifest names another tenant': {
    change: withManifest((manifest) => {
      manifest.tenant = { id: '01890000-0000-7000-8000-000000000000', slug: 'rival' }
    }),
    says: 'made with another root key',
  },
  'the manifest is cut off': {
    change: async (folder) => truncate(join(folder, 'manifest.json'), 200),
    says: 'its manifest is not readable',
  },
  'the key is another artefact’s': {
    change: async (folder) => {
      const theirs = JSON.parse(await readFile(join(room.folder, other, 'manifest.json'), 'utf8')) as Manifest
      const { signature: _, ...mine } = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'))
      const forged = signManifest(parseRootKey(room.platform.central.rootKey), { ...mine, key: theirs.key })
      await writeFile(join(folder, 'manifest.json'), forged)
    },
    says: 'the key in its manifest is not its own',
  },
}

describe('a damaged backup', () => {
  it('is told from a good one: its copy restores', async () => {
    const before = await digest()
    expect(await room.backups.restore(await altered(async () => {}))).toMatchObject({ rows: 40_003 })
    expect(await digest()).toEqual(before)
  })

  it.each(Object.entries(DAMAGES))('is refused before anything is written when %s', async (_, { change, says }) => {
    const copy = await altered(change)
    const before = await digest()
    const refusal = {
      code: expect.stringMatching(/^ERR_ARTEFACT_(DAMAGED|KEY)$/),
      message: expect.stringContaining(says),
    }
    await expect(room.backups.verify(copy)).rejects.toMatchObject(refusal)
    await expect(room.backups.restore(copy)).rejects.toMatchObject(refusal)
    await expect(room.backups.diff(copy)).rejects.toMatchObject(refusal)
    expect(await digest()).toEqual(before)
  })

  it('of a newer format is refused', async () => {
    const copy = await altered(withManifest((manifest) => Object.assign(manifest, { version: 2 })))
    await expect(room.backups.restore(copy)).rejects.toMatchObject({
      code: 'ERR_ARTEFACT_NEWER',
      message: expect.stringContaining('it has format 2, this version knows 1 and older'),
    })
  })

  it('made with another root key is refused by its name', async () => {
    const wrong = await room.open({ rootKey: 'cd'.repeat(32) })
    await expect(wrong.verify(name)).rejects.toMatchObject({
      code: 'ERR_ARTEFACT_KEY',
      message: expect.stringContaining('it was made with another root key; set ROWHOUSE_ROOT_KEY to that one'),
    })
  })

  it('of another tenant or platform is refused in its place', async () => {
    await expect(room.backups.restore(name, 'rival')).rejects.toMatchObject({
      code: 'ERR_ARTEFACT_FOREIGN',
      message: expect.stringContaining('it was made of tenant "acme"'),
    })
    const copy = await altered(async (folder) => {
      const { signature: _, ...body } = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'))
      const key = parseRootKey(room.platform.central.rootKey)
      await writeFile(join(folder, 'manifest.json'), signManifest(key, { ...body, platform: 'deadbeef' }))
    })
    await expect(room.backups.restore(copy)).rejects.toMatchObject({
      code: 'ERR_ARTEFACT_FOREIGN',
      message: expect.stringContaining('it was made on platform deadbeef'),
    })
    expect(await room.backups.restore(copy, undefined, { acceptPlatform: 'deadbeef' })).toMatchObject({ rows: 40_003 })
  })

  it('that is not there is refused, also by a path out of the store', async () => {
    const refusal = { code: 'ERR_ARTEFACT_NOT_FOUND', message: expect.stringContaining('Cannot find artefact') }
    await expect(room.backups.verify(`${name.slice(0, -8)}00000000`)).rejects.toMatchObject(refusal)
    await expect(room.backups.verify('../../etc/20260101T000000Z-00000000')).rejects.toMatchObject(refusal)
  })
})

describe('a home that is not as it was', () => {
  it('is refused with every difference, before anything is written', async () => {
    const before = await digest()
    await room.platform.admin.query(
      `alter table leg rename note to remark; alter table leg add must text; update leg set must = ''; alter table leg alter must set not null`,
    )
    await expect(room.backups.restore(name)).rejects.toMatchObject({
      code: 'ERR_SCHEMA_DRIFT',
      message: expect.stringContaining('column "leg.note" is not there; column "leg.must" is new and has no default'),
    })
    await room.platform.admin.query('alter table leg rename remark to note; alter table leg drop must')
    expect(await digest()).toEqual(before)
  })

  it('with more columns takes the rows, and says which got their default', async () => {
    await room.platform.admin.query(`alter table leg add since text default 'unknown'`)
    expect(await room.backups.restore(name)).toMatchObject({ filled: ['leg.since'] })
    await room.platform.admin.query('alter table leg drop since')
  })

  it('whose triggers fire ALWAYS and change rows is found out after loading, and nothing stays', async () => {
    const before = await digest()
    const { admin } = room.platform
    await admin.query(`create function meddle() returns trigger language plpgsql as $$ begin new.note := 'meddled'; return new; end $$;
      create trigger meddle before insert on leg for each row execute function meddle(); alter table leg enable always trigger meddle`)
    await expect(room.backups.restore(name)).rejects.toMatchObject({
      code: 'ERR_RESTORE_UNPROVEN',
      message: expect.stringMatching(/^Cannot restore: table "leg" has 20000 rows with sum .* after loading/),
    })
    await admin.query('drop function meddle cascade')
    expect(await digest()).toEqual(before)
  })

  it('without rows of a reference table that the backup refers to is refused, and nothing stays', async () => {
    const { admin } = room.platform
    await admin.query(`insert into port values ('AEJEA', 'Jebel Ali')`)
    await admin.query(`update shipment set port_code = 'AEJEA' where tenant_id = $1 and reference = 'r9'`, [tenantId])
    const withPort = await room.backups.create('acme')
    await admin.query(`update shipment set port_code = null where tenant_id = $1 and reference = 'r9'`, [tenantId])
    await admin.query(`delete from port where code = 'AEJEA'`)
    const before = await digest()
    await expect(room.backups.restore(withPort.name)).rejects.toMatchObject({
      code: 'ERR_RESTORE_UNPROVEN',
      message: expect.stringContaining('1 rows of "shipment" refer to rows of "port" that are not there'),
    })
    expect(await digest()).toEqual(before)
  })
})
