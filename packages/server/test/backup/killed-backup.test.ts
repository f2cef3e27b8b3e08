import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ArtefactStore, folderStore } from '../../src/index.ts'
import { type BackupPlatform, digestOf, filesIn, makeTenant, openBackupPlatform } from './backup-room.ts'

let room: BackupPlatform
let tenantId: string
let name: string

beforeAll(async () => {
  room = await openBackupPlatform()
  tenantId = (await makeTenant(room.platform, 'acme', 'pooled', 5_000)).id
  name = (await room.backups.create('acme')).name
})
afterAll(() => room.close())

const digest = () => digestOf(room.platform.admin, 'public', tenantId)

function start(work: string, what: string): ChildProcess {
  const file = new URL('./backup-child.ts', import.meta.url).pathname
  const { adminUrl: CENTRAL_URL, rootKey: ROOT_KEY } = room.platform.central
  const env = { ...process.env, CENTRAL_URL, ROOT_KEY, FOLDER: room.folder, WORK: work, NAME: what }
  return spawn(process.execPath, ['--conditions=source', '--import', 'tsx', file], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

/** Holds a table, runs `fn` with the pid of the session that waits for it, and lets go. */
async function whileHeld(lock: string, fn: (pid: number) => Promise<void>): Promise<void> {
  const holder = new pg.Client({ connectionString: room.platform.central.adminUrl })
  await holder.connect()
  try {
    const { rows } = await holder.query('select pg_backend_pid() as pid')
    await holder.query(`begin; ${lock}`)
    let waiting: number | undefined
    const text = 'select pid from pg_stat_activity where $1 = any (pg_blocking_pids(pid))'
    const find = async () => {
      waiting = (await room.platform.admin.query<{ pid: number }>(text, [rows[0].pid])).rows[0]?.pid
      return waiting
    }
    await expect.poll(find, { timeout: 60_000 }).toBeGreaterThan(0)
    await fn(waiting ?? 0)
  } finally {
    await holder.end()
  }
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

/** Leaves of the backup that was begun, which no list shows. */
async function leftovers(): Promise<string[]> {
  return (await readdir(join(room.folder, tenantId))).filter((entry) => entry.startsWith('.partial-'))
}

const keep = async () => (await room.backups.keep({ everyHours: 24, drillEveryHours: false })).tenants

const HELD_VISIT = 'lock table visit in access exclusive mode'

describe('a process that is killed with -9', () => {
  it('while it backs up leaves nothing that is listed, and its remains are swept after a day', async () => {
    const before = await room.backups.list()
    const child = start('create', 'acme')
    await whileHeld(HELD_VISIT, () => kill(child))
    expect(await room.backups.list()).toEqual(before)
    const [left] = await leftovers()
    expect(left).toBeDefined()
    expect((await room.backups.prune({ keepLast: 100 })).swept).toBe(0)
    const old = new Date(Date.now() - 2 * 86_400_000)
    const folder = join(room.folder, tenantId, left ?? '')
    for (const file of await readdir(folder)) await utimes(join(folder, file), old, old)
    await utimes(folder, old, old)
    expect((await room.backups.prune({ keepLast: 100 })).swept).toBe(1)
    expect(await leftovers()).toEqual([])
  })

  it('while it does what is due lets the next run do it', async () => {
    await makeTenant(room.platform, 'late', 'pooled', 5)
    const child = start('keep', '')
    await whileHeld(HELD_VISIT, async () => {
      // The control: while it lives, nobody else is at it.
      expect((await keep()).find(({ tenant }) => tenant === 'late')?.outcome).toBe('busy')
      await kill(child)
    })
    // The server notices when it next writes to the process.
    const outcome = async () => (await keep()).find(({ tenant }) => tenant === 'late')?.outcome
    await expect.poll(outcome, { timeout: 30_000 }).toBe('backed-up')
    expect(await outcome()).toBe('fresh')
    expect(await room.backups.list('late')).toHaveLength(1)
  })

  it.each([
    ['restore', 'visit'],
    ['merge', 'leg'],
  ])('while it does a %s leaves every row as it was, and the tenant works at once', async (work, last) => {
    await room.platform.admin.query(`delete from visit where tenant_id = $1`, [tenantId])
    await room.platform.admin.query(`delete from leg where tenant_id = $1 and id % 2 = 0`, [tenantId])
    const before = await digest()
    const child = start(work, name)
    // Tables before it are written when the process waits for this one.
    await whileHeld(`lock table ${last} in share row exclusive mode`, () => kill(child))
    const app = await room.platform.openApp()
    const answers = async () =>
      app
        .withTenant('acme', (db) => db.many('select 1'))
        .then(
          () => true,
          () => false,
        )
    await expect.poll(answers, { timeout: 30_000 }).toBe(true)
    expect(await digest()).toEqual(before)
    await room.backups.restore(name)
    expect(await digest()).not.toEqual(before)
  })
})

describe('a connection that is lost', () => {
  it('during a backup is an error that can be retried, and nothing is left', async () => {
    const before = await filesIn(room.folder)
    const backup = room.backups.create('acme')
    const failed = expect(backup).rejects.toMatchObject({
      code: 'ERR_DATABASE_UNAVAILABLE',
      retryable: true,
      message: expect.stringContaining('Cannot back up tenant "acme"'),
    })
    await whileHeld(HELD_VISIT, async (pid) => {
      await room.platform.admin.query('select pg_terminate_backend($1)', [pid])
      await failed
    })
    expect([...(await filesIn(room.folder)).keys()]).toEqual([...before.keys()])
  })

  it('during a restore undoes it', async () => {
    const before = await digest()
    const failed = expect(room.backups.restore(name)).rejects.toMatchObject({
      code: 'ERR_DATABASE_UNAVAILABLE',
      message: expect.stringContaining('Cannot restore tenant "acme"'),
    })
    await whileHeld('lock table visit in share row exclusive mode', async (pid) => {
      await room.platform.admin.query('select pg_terminate_backend($1)', [pid])
      await failed
    })
    expect(await digest()).toEqual(before)
  })
})

describe('a disk that is full', () => {
  const full = () => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })

  /** Behaves like a folder until so many bytes were written. */
  function tightStore(bytes: number, atCommit = false): ArtefactStore {
    const store = folderStore(room.folder)
    let left = bytes
    return {
      ...store,
      begin: async (artefact) => {
        const writer = await store.begin(artefact)
        return {
          ...writer,
          commit: atCommit ? () => Promise.reject(full()) : writer.commit,
          open: async (file) => {
            const sink = await writer.open(file)
            return {
              ...sink,
              write: async (part) => {
                left -= part.length
                if (left < 0) throw full()
                await sink.write(part)
              },
            }
          },
        }
      },
    }
  }

  it.each([
    ['in the middle of a table', 100_000, false],
    ['at the manifest', 1e9, true],
  ])('%s leaves nothing that looks like a backup', async (_, bytes, atCommit) => {
    const before = await filesIn(room.folder)
    const tight = await room.open({ store: tightStore(bytes, atCommit) })
    await expect(tight.create('acme')).rejects.toMatchObject({
      code: 'ERR_ARTEFACT_STORE',
      message: expect.stringContaining('no space left on device'),
    })
    expect([...(await filesIn(room.folder)).keys()]).toEqual([...before.keys()])
    expect(await room.backups.create('acme')).toMatchObject({ rows: 10_003 })
  })

  it('is a folder that cannot be made, too', async () => {
    const blocked = await room.open({ store: folderStore('/dev/null/backups') })
    await expect(blocked.create('acme')).rejects.toMatchObject({
      code: 'ERR_ARTEFACT_STORE',
      message: expect.stringMatching(/^Cannot write ".*": ENOTDIR/),
    })
  })
})

describe('a tenant at work', () => {
  it('is refused while its rows are replaced, and serves the restored rows at once', async () => {
    const app = await room.platform.openApp()
    const read = () => app.withTenant('acme', (db) => db.many('select count(*)::int as n from leg'))
    await read()
    const restoring = start('restore', name)
    let refused: unknown
    await whileHeld('lock table visit in share row exclusive mode', async () => {
      refused = await read().then(
        () => 'answered',
        (error) => error.code,
      )
    })
    if (restoring.exitCode === null) await once(restoring, 'exit')
    expect(restoring.exitCode).toBe(0)
    expect(refused).toBe('ERR_TENANT_MOVING')
    expect(await read()).toEqual([{ n: 5_000 }])
  })

  it('that does not end its transaction keeps a restore waiting for ten seconds, and nothing is changed', async () => {
    const app = await room.platform.openApp()
    const before = await digest()
    await app.withTenant('acme', (db) =>
      db.transaction(async (tx) => {
        await tx.many('select 1')
        await expect(room.backups.restore(name)).rejects.toMatchObject({
          code: 'ERR_TIMEOUT',
          message: expect.stringContaining(
            'its statements did not end in time; try again, or suspend the tenant first',
          ),
        })
      }),
    )
    expect(await digest()).toEqual(before)
  })
})

describe('a tenant that is being moved', () => {
  it('takes no backup in until the move has ended', async () => {
    const { admin } = room.platform
    await admin.query(
      `insert into rowhouse.move (id, tenant_id, state, source, target, epoch, requested_by, reason)
       values ('01890000-0000-7000-8000-000000000001', $1, 'copying', '{}', '{}', 1, 'test', 'test')`,
      [tenantId],
    )
    const before = await digest()
    const refusal = {
      code: 'ERR_TENANT_MOVING',
      message: expect.stringContaining('a move of it is copying; let it complete, or abort or revert it'),
    }
    await expect(room.backups.restore(name)).rejects.toMatchObject(refusal)
    await expect(room.backups.merge(name)).rejects.toMatchObject(refusal)
    expect(await digest()).toEqual(before)
    await admin.query('delete from rowhouse.move')
  })
})

describe('a login that policies bind', () => {
  it('copies nothing, and is told what it needs', async () => {
    const { admin, central } = room.platform
    await admin.query(`create role bound_operator login password 'bound' createrole`)
    await admin.query(
      'grant rowhouse_owner to bound_operator with inherit true; grant execute on function pg_control_system to bound_operator',
    )
    const url = new URL(central.adminUrl)
    url.username = 'bound_operator'
    url.password = 'bound'
    const { openBackups } = await import('../../src/index.ts')
    const bound = await openBackups({ url: url.href, rootKey: central.rootKey, store: folderStore(room.folder) })
    await expect(bound.create('acme')).rejects.toMatchObject({
      code: 'ERR_PRIVILEGE_MISSING',
      message: expect.stringContaining(
        `policies bind the operator's login "bound_operator"; run "alter role "bound_operator" bypassrls`,
      ),
    })
    // With what the message says it may, and with nothing more.
    await admin.query(
      `alter role bound_operator bypassrls; grant set on parameter session_replication_role to bound_operator`,
    )
    const made = await bound.create('acme')
    expect(await bound.restore(made.name)).toMatchObject({ rows: made.rows })
    await expect(bound.diff(made.name)).rejects.toMatchObject({
      code: 'ERR_PRIVILEGE_MISSING',
      message: expect.stringContaining('permission denied to create temporary tables'),
    })
    await admin.query(`grant temporary on database ${central.name} to bound_operator`)
    expect(await bound.diff(made.name)).toHaveLength(4)
    await bound.close()
    await admin.query(
      'revoke execute on function pg_control_system from bound_operator; revoke set on parameter session_replication_role from bound_operator; drop owned by bound_operator; drop role bound_operator',
    )
  })
})
