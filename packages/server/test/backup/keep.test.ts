import { cp, rename, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ArtefactStore, type Backups, folderStore, type KeepOptions } from '../../src/index.ts'
import { type BackupPlatform, makeTenant, openBackupPlatform } from './backup-room.ts'

let room: BackupPlatform
let backups: Backups
let folder: string
let store: ArtefactStore
let rounds = 0
const ids = new Map<string, string>()
const DAY_MS = 86_400_000
const EVERY: KeepOptions = { everyHours: 24, drillEveryHours: false }

beforeAll(async () => {
  room = await openBackupPlatform()
  for (const [slug, model] of [
    ['acme', 'pooled'],
    ['globex', 'schema'],
    ['idle', 'pooled'],
  ] as const)
    ids.set(slug, (await makeTenant(room.platform, slug, model, 5)).id)
  await room.platform.plane.lifecycle.suspend('idle', { kind: 'unpaid', cause: 'does not pay', by: 'ops' })
})
afterAll(() => room.close())

beforeEach(async () => {
  await room.platform.admin.query('delete from rowhouse.backup_event')
  folder = join(room.folder, `round-${rounds++}`)
  store = folderStore(folder)
  backups = await room.open({ store })
})

const idOf = (slug: string) => ids.get(slug) ?? ''
const outcomes = async (options: KeepOptions = EVERY, by = backups) =>
  Object.fromEntries((await by.keep(options)).tenants.map(({ tenant, outcome }) => [tenant, outcome]))
const all = (outcome: string) => ({ acme: outcome, globex: outcome, idle: outcome })
const events = async () =>
  (
    await room.platform.admin.query(
      'select kind, outcome, fault, tenant_id, artefact from rowhouse.backup_event order by id',
    )
  ).rows

/** Gives an artefact another time, as if it had been made then. */
async function age(name: string, ms: number): Promise<string> {
  const stamp = new Date(Date.now() - ms).toISOString().replaceAll(/[-:]/g, '').slice(0, 15)
  const older = `${name.slice(0, 37)}${stamp}Z-${name.slice(-8)}`
  await rename(join(folder, name), join(folder, older))
  return older
}

const newestOf = async (slug: string) => (await store.list(idOf(slug))).at(-1) ?? ''

describe('keep', () => {
  it('backs up who has no backup, once', async () => {
    expect(await outcomes()).toEqual(all('backed-up'))
    expect(await events()).toMatchObject([
      { kind: 'backup', outcome: 'good', fault: null, tenant_id: idOf('acme'), artefact: await newestOf('acme') },
      { tenant_id: idOf('globex') },
      { tenant_id: idOf('idle') },
    ])
    expect(await outcomes()).toEqual(all('fresh'))
    expect(await store.list()).toHaveLength(3)
    for (const name of await store.list()) await backups.verify(name)
  })

  it.each([
    [24 * 0.9, 'fresh'],
    // A timer of every day goes off a little before a day is over.
    [24 * 0.99, 'backed-up'],
    [30, 'backed-up'],
  ])('finds a backup of %f hours ago %s, every 24 hours', async (hours, outcome) => {
    await backups.create('acme')
    await age(await newestOf('acme'), hours * 3_600_000)
    expect(await outcomes()).toEqual({ ...all('backed-up'), acme: outcome })
  })

  it('does not take a backup that cannot be opened for a good one', async () => {
    await outcomes()
    // Unknown under this name, so it is opened.
    const copy = await age(await newestOf('acme'), 60_000)
    expect(await outcomes()).toEqual(all('fresh'))
    await truncate(join(folder, copy, 'manifest.json'), 10)
    expect(await outcomes()).toEqual({ ...all('fresh'), acme: 'backed-up' })
  })

  it('replaces a backup that a rehearsal has found damaged', async () => {
    const { name } = await backups.create('acme')
    await truncate(join(folder, name, '0001.rows'), 10)
    // The manifest is good: nobody knows yet.
    expect(await outcomes()).toEqual({ ...all('backed-up'), acme: 'fresh' })
    await expect(backups.drill('acme')).rejects.toMatchObject({ code: 'ERR_ARTEFACT_DAMAGED' })
    expect((await events()).at(-1)).toMatchObject({
      kind: 'drill',
      outcome: 'failed',
      fault: 'ERR_ARTEFACT_DAMAGED',
      artefact: name,
    })
    expect(await outcomes()).toEqual({ ...all('fresh'), acme: 'backed-up' })
  })

  it('goes on after a tenant that fails, names it, and tries it again', async () => {
    const full = {
      ...store,
      begin: async (name: string) => (name.startsWith(idOf('acme')) ? noSpace() : store.begin(name)),
    }
    const report = await (await room.open({ store: full })).keep(EVERY)
    expect(report.tenants.map(({ outcome }) => outcome)).toEqual(['failed', 'backed-up', 'backed-up'])
    expect(report.failures).toEqual([
      {
        doing: 'backup',
        tenant: 'acme',
        code: 'ERR_ARTEFACT_STORE',
        message: expect.stringContaining('no space left'),
      },
    ])
    expect(await events()).toContainEqual({
      kind: 'backup',
      outcome: 'failed',
      fault: 'ERR_ARTEFACT_STORE',
      tenant_id: idOf('acme'),
      artefact: null,
    })
    expect(await outcomes()).toEqual({ ...all('fresh'), acme: 'backed-up' })
  })

  it.each([
    ['is about to be cut over', 'update rowhouse.placement set moving_since = now() where tenant_id = $1'],
    ['lives elsewhere by now', 'update rowhouse.resident set epoch = epoch + 1 where tenant_id = $1'],
  ])('leaves a tenant that %s to the next run', async (_, sql) => {
    const { admin } = room.platform
    await admin.query(sql, [idOf('acme')])
    const report = await backups.keep(EVERY)
    expect(report.tenants[0]).toEqual({ tenant: 'acme', outcome: 'deferred' })
    expect(report.failures).toEqual([])
    expect(await events()).toHaveLength(2)
    await admin.query('update rowhouse.placement set moving_since = null')
    await admin.query(
      `update rowhouse.resident r set epoch = p.epoch from rowhouse.placement p where p.tenant_id = r.tenant_id`,
    )
    expect(await outcomes()).toEqual({ ...all('fresh'), acme: 'backed-up' })
  })

  it('refuses what makes no sense before it does anything', async () => {
    await expect(backups.keep({ everyHours: 0 })).rejects.toThrow(RangeError)
    await expect(backups.keep({ ...EVERY, retention: { keepLast: 0 } })).rejects.toThrow(RangeError)
    await expect(backups.keep({ everyHours: 24, drillEveryHours: Number.NaN })).rejects.toThrow(RangeError)
    expect(await store.list()).toEqual([])
  })
})

describe('runs at once', () => {
  it('do not do the same work twice, and share the rest', async () => {
    let arrive = () => {}
    let open = () => {}
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve
    })
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const slow = {
      ...store,
      begin: async (name: string) => {
        arrive()
        await gate
        return store.begin(name)
      },
    }
    const first = outcomes(EVERY, await room.open({ store: slow }))
    await arrived
    expect(await outcomes()).toEqual({ ...all('backed-up'), acme: 'busy' })
    open()
    expect(await first).toEqual({ ...all('fresh'), acme: 'backed-up' })
    expect(await store.list()).toHaveLength(3)
    // The control: nothing but the lock kept the other one from it.
    await backups.create('acme')
    expect(await store.list()).toHaveLength(4)
  })

  it('see what another one did since they looked', async () => {
    await outcomes()
    const stale = { ...store, list: async (tenant?: string) => (tenant === undefined ? [] : store.list(tenant)) }
    expect(await outcomes(EVERY, await room.open({ store: stale }))).toEqual(all('fresh'))
    expect(await store.list()).toHaveLength(3)
    // The control: a run that does not look again makes another one.
    const blind = { ...store, list: async () => [] }
    expect(await outcomes(EVERY, await room.open({ store: blind }))).toEqual(all('backed-up'))
    expect(await store.list()).toHaveLength(6)
  })
})

describe('rehearsals', () => {
  const DRILLS: KeepOptions = { everyHours: 24, drillEveryHours: 24 }
  /** As if a day had passed since the last one. */
  const wait = () =>
    room.platform.admin.query(`update rowhouse.backup_event set at = at - interval '1 day' where kind = 'drill'`)

  it('take turns, one when one is due', async () => {
    const drilled: (string | undefined)[] = []
    for (let day = 1; day <= 4; day += 1) {
      drilled.push((await backups.keep(DRILLS)).drill?.tenant)
      // Not due.
      expect((await backups.keep(DRILLS)).drill).toBeUndefined()
      await wait()
    }
    expect(new Set(drilled.slice(0, 3))).toEqual(new Set(['acme', 'globex', 'idle']))
    expect(drilled[3]).toBe(drilled[0])
    expect((await events()).filter(({ kind, outcome }) => kind === 'drill' && outcome === 'good')).toHaveLength(4)
  })

  it('that fail are named, and the next tenant has its turn', async () => {
    await outcomes()
    for (const name of await store.list()) await truncate(join(folder, name, '0001.rows'), 10)
    const tenants: (string | undefined)[] = []
    for (let day = 1; day <= 2; day += 1) {
      const { drill, failures } = await backups.keep(DRILLS)
      expect(drill).toBeUndefined()
      expect(failures).toMatchObject([{ doing: 'drill', code: 'ERR_ARTEFACT_DAMAGED' }])
      tenants.push(failures[0]?.tenant)
      await wait()
    }
    expect(new Set(tenants).size).toBe(2)
  })
})

describe('old backups', () => {
  it('are removed by the same rules, also of who has left, and forgotten; the first of all stays known', async () => {
    await outcomes()
    const first = await newestOf('acme')
    const gone = '01890000-0000-7000-8000-00000000000a'
    for (let day = 1; day <= 4; day += 1) {
      const stamp = new Date(Date.now() - day * DAY_MS).toISOString().replaceAll(/[-:]/g, '').slice(0, 15)
      for (const id of [idOf('acme'), gone])
        await cp(join(folder, first), join(folder, `${id}/${stamp}Z-00000000`), { recursive: true })
    }
    const dropped = await backups.create('acme')
    await age(dropped.name, 5 * DAY_MS)
    const retention = { keepLast: 2 }
    const report = await backups.keep({ ...EVERY, retention })
    expect(report.failures).toEqual([])
    expect(report.removed).toHaveLength(4 + 2)
    expect(await store.list(idOf('acme'))).toHaveLength(2)
    expect(await store.list(gone)).toHaveLength(2)
    await backups.prune({ keepLast: 1 })
    expect(await events()).toMatchObject([{ artefact: first }, {}, {}, { artefact: dropped.name }])
  })

  it('stay while none that stays is good', async () => {
    await outcomes()
    const old = await age(await newestOf('acme'), 2 * DAY_MS)
    const report = await backups.keep({ ...EVERY, retention: { keepLast: 1 } })
    // The control: with a good new one the old one goes.
    expect(report.removed).toEqual([old])
    const last = await newestOf('acme')
    await cp(join(folder, last), join(folder, old), { recursive: true })
    await truncate(join(folder, last, '0001.rows'), 10)
    expect((await backups.keep({ ...EVERY, retention: { keepLast: 1 } })).removed).toEqual([])
  })
})

describe('a tenant that is erased', () => {
  it('leaves the names of its backups, and the certificate says so', async () => {
    const { id } = await makeTenant(room.platform, 'leaver', 'pooled', 5)
    const { name } = await backups.create('leaver')
    const { lifecycle } = room.platform.plane
    const by = 'ops'
    await lifecycle.suspend('leaver', { kind: 'request', cause: 'is leaving', by })
    await lifecycle.offboard('leaver', { by, reason: 'contract ended', retainDays: 0 })
    expect(await outcomes()).toEqual(all('backed-up'))
    const { certificate } = await lifecycle.erase('leaver', { by, reason: 'contract ended' })
    expect(certificate.remains).toContainEqual({
      what: '1 rows of rowhouse.backup_event',
      where: 'central database, schema rowhouse',
      until: null,
      why: 'names of the backups that were made, so that they can be deleted where they are',
    })
    expect(await events()).toContainEqual(expect.objectContaining({ tenant_id: id, artefact: name }))
  })
})

it('only the operator sees what was written down', async () => {
  await backups.create('acme')
  const { rows } = await room.platform.admin.query(
    `select has_table_privilege(r, 'rowhouse.backup_event', p) as may
       from unnest('{rowhouse_app,public}'::text[]) r, unnest('{select,insert,update,delete}'::text[]) p
      union all select has_table_privilege('rowhouse_owner', 'rowhouse.backup_event', 'select')`,
  )
  // The last row is the control.
  expect(rows.map(({ may }) => may)).toEqual([...Array(8).fill(false), true])
})

function noSpace(): never {
  throw new Error('no space left on device')
}
