import { cp, rename, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { parseRootKey } from 'rowhouse/install'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { pruneBackups, timeOf } from '../../src/backup/retention.ts'
import { folderStore } from '../../src/index.ts'
import { type BackupPlatform, makeTenant, openBackupPlatform } from './backup-room.ts'

let room: BackupPlatform
let made: string
let base: string
const NOW = new Date('2026-06-30T12:00:00Z')

beforeAll(async () => {
  room = await openBackupPlatform()
  await makeTenant(room.platform, 'acme', 'pooled', 5)
  made = (await room.backups.create('acme')).name
  base = join(room.folder, made)
})
afterAll(() => room.close())

let round = 0
let store: ReturnType<typeof folderStore>
let folder: string
/** Ten backups, one a day, the newest of this day. */
beforeEach(async () => {
  folder = join(room.folder, `store-${round++}`)
  store = folderStore(folder)
  for (let day = 1; day <= 10; day += 1) {
    const at = new Date(NOW.getTime() - (10 - day) * 86_400_000 - 3_600_000)
    await cp(base, join(folder, nameAt(at)), { recursive: true })
  }
})

function nameAt(at: Date): string {
  return `${made.slice(0, 37)}${at.toISOString().replaceAll(/[-:]/g, '').slice(0, 15)}Z-00000000`
}

const prune = (retention: { keepLast: number; keepDays?: number }, dryRun = false) =>
  pruneBackups({ store, rootKey: parseRootKey(room.platform.central.rootKey) }, retention, { now: NOW, dryRun })

describe('retention', () => {
  it.each([
    [{ keepLast: 3 }, 3],
    [{ keepLast: 1, keepDays: 5 }, 5],
    [{ keepLast: 8, keepDays: 2 }, 8],
    [{ keepLast: 20 }, 10],
  ])('%j keeps the newest %i of ten', async (retention, kept) => {
    const before = await store.list()
    expect(await prune(retention, true)).toMatchObject({ kept, removed: { length: 10 - kept } })
    expect(await store.list()).toEqual(before)
    await prune(retention)
    expect(await store.list()).toEqual(before.slice(10 - kept))
  })

  it('removes nothing while none of those that stay is good', async () => {
    const all = await store.list()
    for (const name of all.slice(-2)) await truncate(join(folder, name, '0001.rows'), 10)
    expect(await prune({ keepLast: 2 })).toMatchObject({ kept: 10, removed: [] })
    expect(await prune({ keepLast: 3 })).toMatchObject({ kept: 3, removed: { length: 7 } })
  })

  it('refuses rules that keep nothing', async () => {
    await expect(prune({ keepLast: 0 })).rejects.toThrow(
      new RangeError('Cannot keep the last 0: wanted a whole number from 1 to 10000'),
    )
    await expect(prune({ keepLast: 1, keepDays: -1 })).rejects.toThrow(RangeError)
  })

  it('reads the time of a backup from its name, and passes over what is none', async () => {
    expect(timeOf(nameAt(NOW)).toISOString()).toBe('2026-06-30T12:00:00.000Z')
    await rename(join(folder, (await store.list())[0] ?? ''), join(folder, made.slice(0, 36), 'notes'))
    expect(await store.list()).toHaveLength(9)
  })
})
