import type { Rowhouse } from 'rowhouse'
import { install } from 'rowhouse/install'
import { startPostgres } from 'rowhouse-embedded'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startSwitchingProxy } from '../pooler/switching-proxy.ts'
import { withAdminClient } from '../support/admin-client.ts'
import { serverMajor } from '../support/database.ts'
import { createReplicated, type Replicated, ROOT_KEY } from './replicated.ts'
import { type StreamingReplica, startReplica } from './streaming-replica.ts'

/** Streaming replicas made from the npm binaries. */
let r: Replicated
let rowhouse: Rowhouse | undefined
const replicas: StreamingReplica[] = []
beforeAll(async () => {
  r = await createReplicated(serverMajor())
})
afterEach(async () => {
  await rowhouse?.close()
  r.lines.length = 0
  for (const replica of replicas.splice(0).reverse()) await replica.stop()
})
afterAll(() => r.close())

const WHERE = 'select pg_is_in_recovery() as replica'
const LABEL = `select label, pg_is_in_recovery() as replica from item where id = 1`

/** An application that knows these servers as replicas. */
async function openWith(...urls: string[]) {
  await r.register(...urls)
  rowhouse = await r.open()
  const opened = rowhouse
  return (text: string) =>
    opened.withTenant({ tenant: 'tenant-0', reads: 'replica' }, (db) => db.one<{ replica: boolean }>(text))
}

async function another(of = r.primary): Promise<StreamingReplica> {
  const replica = await startReplica(of, serverMajor())
  replicas.push(replica)
  await replica.catchUp()
  return replica
}

const messages = (level: string) => r.lines.filter((line) => line.level === level).map(({ message }) => message)

describe('a replica that is gone', () => {
  it('costs no read: the primary answers, and the replica again when it is back', async () => {
    const proxy = await startSwitchingProxy(Number(new URL(r.replica.url).port))
    const url = new URL(r.replica.url)
    url.port = String(proxy.port)
    const read = await openWith(url.href)
    await expect.poll(() => read(WHERE)).toEqual({ replica: true })
    proxy.lead(1)
    for (let i = 0; i < 20; i++) expect(await read(WHERE)).toEqual({ replica: false })
    expect(messages('warn')).toContain('replica does not answer: reads go to the primary')
    proxy.lead(Number(new URL(r.replica.url).port))
    await expect.poll(() => read(WHERE)).toEqual({ replica: true })
    expect(messages('info')).toContain('replica is read from again')
    await proxy.close()
  })

  it('killed with kill -9 under reads: each is answered by the primary', async () => {
    const replica = await another()
    const read = await openWith(replica.url)
    await expect.poll(() => read(WHERE)).toEqual({ replica: true })
    const running = Array.from({ length: 8 }, () => read(`${WHERE}, pg_sleep(1)::text as slept`))
    const sleeping = `select count(*)::int as n from pg_stat_activity where query like '%slept%' and state = 'active' and pid <> pg_backend_pid()`
    await expect.poll(async () => (await replica.query(sleeping)).rows[0].n).toBeGreaterThan(0)
    replica.kill()
    const outcomes = await Promise.all(running)
    expect(outcomes.some((row) => !row.replica)).toBe(true)
    expect(outcomes.every((row) => 'slept' in row)).toBe(true)
    expect(await read(WHERE)).toEqual({ replica: false })
  })

  it('leaves others to read from', async () => {
    const gone = new URL(r.replica.url)
    gone.port = '1'
    const read = await openWith(gone.href, r.replica.url)
    await expect.poll(() => read(WHERE)).toEqual({ replica: true })
    const answers = []
    for (let i = 0; i < 10; i++) answers.push((await read(WHERE)).replica)
    expect(answers.filter(Boolean).length).toBeGreaterThanOrEqual(8)
  })

  it('whose URL is not set is named in the log, and never its URL', async () => {
    await r.admin.query(`update rowhouse.server set replica_urls = '{env:TEST_REPLICA_NOT_SET}' where name = 'main'`)
    rowhouse = await r.open()
    const row = await rowhouse.withTenant({ tenant: 'tenant-0', reads: 'replica' }, (db) => db.one(WHERE))
    expect(row).toEqual({ replica: false })
    expect(r.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        message: 'replica is not read from: its URL cannot be had',
        fields: expect.objectContaining({
          replica: 'replica 1 of server "main"',
          err: expect.objectContaining({ code: 'ERR_CONFIG_INVALID' }),
        }),
      }),
    )
  })
})

describe('a server that is no replica of the primary', () => {
  it('promoted under reads: it is not read from, on standing connections neither', async () => {
    const replica = await another()
    const read = await openWith(replica.url)
    await expect.poll(() => read(WHERE)).toEqual({ replica: true })
    await replica.promote()
    await replica.query(`update item set label = 'diverged' where id = 1`)
    for (let i = 0; i < 10; i++) expect(await read(LABEL)).toEqual({ label: 'tenant-0', replica: false })
    expect(messages('warn')).toContainEqual(expect.stringContaining('it follows nobody: it was promoted'))
  })

  it('that follows a promoted one, with more log than the primary: its timeline gives it away', async () => {
    const promoted = await another()
    await promoted.promote()
    await promoted.query(`update item set label = 'diverged' where id = 1`)
    const follower = await another(promoted.server)
    // The positive control: it follows, is of the same cluster, and ahead of the primary.
    const { rows } = await follower.query(
      `select pg_is_in_recovery() as follows, pg_last_wal_replay_lsn()::text as lsn, (select system_identifier::text from pg_control_system()) as system from item where label = 'diverged' limit 1`,
    )
    const { rows: primary } = await r.admin.query(
      `select pg_current_wal_insert_lsn() <= $1::pg_lsn as ahead, (select system_identifier::text from pg_control_system()) as system`,
      [rows[0].lsn],
    )
    expect([rows[0].follows, primary[0].ahead, rows[0].system]).toEqual([true, true, primary[0].system])
    const read = await openWith(follower.url)
    for (let i = 0; i < 10; i++) expect(await read(LABEL)).toEqual({ label: 'tenant-0', replica: false })
    expect(messages('warn')).toContainEqual(expect.stringContaining('it is on another timeline than the primary'))
  })

  it('of another cluster is refused with an alarm', async () => {
    const other = await startPostgres({ major: serverMajor() as 18 })
    await install({ url: other.url, rootKey: ROOT_KEY, appPassword: 'replica-test' })
    await withAdminClient(other.url, (admin) => admin.query('create table item (label text, id bigint)'))
    const read = await openWith(other.url)
    for (let i = 0; i < 5; i++) expect(await read(LABEL)).toEqual({ label: 'tenant-0', replica: false })
    expect(r.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        message: expect.stringContaining('it is of another cluster'),
        fields: expect.objectContaining({ code: 'ERR_CONFIG_INVALID', replica: 'replica 1 of server "main"' }),
      }),
    )
    await rowhouse?.close()
    await other.stop()
  })

  it('the primary itself, entered as its own replica, serves as primary', async () => {
    const read = await openWith(r.primary.url)
    for (let i = 0; i < 5; i++) expect(await read(WHERE)).toEqual({ replica: false })
    expect(messages('warn')).toContainEqual(expect.stringContaining('it follows nobody'))
  })
})
