import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { FleetEvent } from '../../src/fleet/fleet-events.ts'
import { freezeHome, thawHome } from '../../src/fleet/freeze.ts'
import { migrateUp, planMigrations, resumeFleet } from '../../src/fleet/run.ts'
import { fleetStatus } from '../../src/fleet/status.ts'
import { createFleet, type TestFleet, type TestTenant } from './fleet.ts'
import { migrationsOf } from './folder.ts'

const FIRST = `
  create table port (code text primary key, name text not null);
  select rowhouse.publish_reference('port');
  create table shipment (
    tenant_id uuid not null, id bigint generated always as identity, port text references port, label text not null,
    primary key (tenant_id, id));`
const files: Record<string, string> = { '0001-first.sql': FIRST }
/** Adds a file; runs that follow have it. */
const also = (name: string, text: string) => migrationsOf(Object.assign(files, { [name]: text }))

let fleet: TestFleet
beforeAll(async () => {
  fleet = await createFleet()
  await fleet.add('pool-a', { model: 'pooled' })
  await fleet.add('pool-b', { model: 'pooled', server: 'second' })
  await fleet.add('canary', { ring: 'canary' })
  for (let n = 1; n <= 14; n += 1) await fleet.add(`one-${n}`)
  for (let n = 1; n <= 12; n += 1) await fleet.add(`two-${n}`, { server: 'second' })
  for (let n = 1; n <= 3; n += 1) await fleet.add(`own-${n}`, { model: 'database' })
})
afterAll(() => fleet.close())

const hasColumn = async (tenant: TestTenant, name: string) => {
  const text = `select from pg_attribute where attrelid = to_regclass('shipment') and attname = '${name}'`
  return (await fleet.ask(tenant, text)).length === 1
}

const countWith = async (name: string) => {
  const found = await Promise.all(fleet.homes.map((home) => hasColumn(home, name)))
  return found.filter((has) => has).length
}

function createSignal(): { readonly given: Promise<void>; readonly give: () => void } {
  let give = () => {}
  const given = new Promise<void>((resolve) => {
    give = resolve
  })
  return { given, give: () => give() }
}

describe('migrateUp()', () => {
  it('migrates homes of three models on two servers, canary tenants first, and then has nothing to do', async () => {
    const events: FleetEvent[] = []
    const report = await migrateUp(fleet.connections, await migrationsOf(files), {
      onEvent: (event) => events.push(event),
      operator: 'ann@here',
    })
    expect(report).toMatchObject({ outcome: 'done', done: 32, failures: [], left: [], target: '0001-first' })
    const started = events.flatMap((event) => (event.type === 'wave-started' ? [[event.wave, event.homes]] : []))
    expect(started).toEqual([
      ['canary', 1],
      ['shared', 2],
      ['rest 1/3', 1],
      ['rest 2/3', 2],
      ['rest 3/3', 26],
    ])
    expect(events[0]).toMatchObject({ type: 'run-started', operator: 'ann@here', total: 32 })
    expect(events.at(-1)).toMatchObject({ type: 'done' })
    expect(await migrateUp(fleet.connections, await migrationsOf(files))).toMatchObject({ run: undefined, done: 0 })
  })

  it('has reference tables once per database, and protects tenant tables in every home', async () => {
    const { rows } = await fleet.admin.query(
      `select count(*) filter (where relname = 'port')::int as ports,
              count(*) filter (where relname = 'shipment' and relrowsecurity and relforcerowsecurity)::int as walled
         from pg_class where relkind = 'r'`,
    )
    expect(rows).toEqual([{ ports: 1, walled: 16 }])
  })

  it('stops at a canary that fails and changes nothing else; the mended file is resumed', async () => {
    const [canary] = fleet.homes
    await fleet.admin.query(
      `create table ${canary?.schema}.blocker (x int); alter table ${canary?.schema}.blocker owner to rowhouse_owner`,
    )
    const broken = await also(
      '0002-blocker.sql',
      'create table blocker (tenant_id uuid not null, id bigint, primary key (tenant_id, id));',
    )
    const report = await migrateUp(fleet.connections, broken)
    expect(report).toMatchObject({ outcome: 'stopped', done: 0, reason: '1 of 1 homes of wave "canary" failed' })
    expect(report.failures).toMatchObject([
      {
        tenant: 'canary',
        code: 'ERR_MIGRATION_FAILED',
        message: expect.stringMatching(/0002-blocker\.sql:1: relation "blocker" already exists/),
      },
    ])
    expect(report.left).toHaveLength(31)
    expect((await fleet.admin.query(`select from pg_class where relname = 'blocker'`)).rowCount).toBe(1)
    const status = await fleetStatus(fleet.connections, broken)
    expect(status).toMatchObject({ homes: 32, current: 0, behind: 31, failed: 1, run: { state: 'stopped', failed: 1 } })

    await fleet.admin.query(`drop table ${canary?.schema}.blocker`)
    expect(await resumeFleet(fleet.connections, broken)).toMatchObject({ outcome: 'done', done: 32 })
    expect(await fleetStatus(fleet.connections, broken)).toMatchObject({
      current: 32,
      behind: 0,
      failed: 0,
      run: { state: 'done' },
    })
  })

  it('keeps what went well when home 17 of 30 fails, and resumes with the rest only', async () => {
    const rest = fleet.homes.filter(({ slug }) => slug !== 'canary')
    const bad = rest[17] as TestTenant
    await fleet.connections.transact(bad, (client) =>
      client.query(`alter table ${bad.schema}.shipment add column eta int`),
    )
    const migrations = await also('0003-eta.sql', 'alter table shipment add column eta timestamptz;')
    const report = await migrateUp(fleet.connections, migrations, { perServer: 1 })
    expect(report.outcome).toBe('stopped')
    expect(report.failures.map(({ tenant }) => tenant)).toEqual([bad.slug])
    expect(report.done + report.left.length + 1).toBe(32)
    expect(report.left.length).toBeGreaterThan(0)
    await fleet.connections.transact(bad, (client) =>
      client.query(`alter table ${bad.schema}.shipment drop column eta`),
    )
    const resumed = await resumeFleet(fleet.connections, migrations)
    expect(resumed).toMatchObject({ outcome: 'done', done: 32 - report.done })
    expect(await countWith('eta')).toBe(fleet.homes.length)
  })

  it('goes on past failures that the error rate allows, and says which', async () => {
    const bad = fleet.homes[5] as TestTenant
    await fleet.connections.transact(bad, (client) =>
      client.query(`alter table ${bad.schema}.shipment add column note int`),
    )
    const migrations = await also('0004-note.sql', 'alter table shipment add column note text;')
    const report = await migrateUp(fleet.connections, migrations, { maxErrorRate: 0.2, waves: [{ name: 'all' }] })
    expect(report).toMatchObject({ outcome: 'failed', done: 31, left: [] })
    expect(report.failures.map(({ tenant }) => tenant)).toEqual([bad.slug])
    await fleet.connections.transact(bad, (client) =>
      client.query(`alter table ${bad.schema}.shipment drop column note`),
    )
    expect(await migrateUp(fleet.connections, migrations)).toMatchObject({ outcome: 'done', done: 1 })
  })

  it('lets one operator work at a time and names who it is', async () => {
    const migrations = await also(
      '0005-slow.sql',
      'select pg_advisory_xact_lock_shared(5150); alter table shipment add column slow int;',
    )
    await fleet.admin.query('select pg_advisory_lock(5150)')
    const started = createSignal()
    const first = migrateUp(fleet.connections, migrations, {
      operator: 'ann@here',
      home: { lockTimeoutMs: 60_000 },
      onEvent: (event) => {
        if (event.type === 'wave-started') started.give()
      },
    })
    await started.given
    await expect(migrateUp(fleet.connections, migrations, { operator: 'bob@there' })).rejects.toMatchObject({
      code: 'ERR_MIGRATION_LOCKED',
      message: expect.stringMatching(
        /^Cannot migrate the fleet now: ann@here, since \d{4}-.*, is at work; wait for that run to end$/,
      ),
    })
    await fleet.admin.query('select pg_advisory_unlock(5150)')
    expect(await first).toMatchObject({ outcome: 'done', done: 32 })
  })

  it('sweeps up a tenant that was created during a wave', async () => {
    const gate = 'select pg_advisory_xact_lock_shared(5151); alter table shipment add column late int;'
    const migrations = await also('0006-late.sql', gate)
    await fleet.admin.query('select pg_advisory_lock(5151)')
    const events: FleetEvent[] = []
    const started = createSignal()
    const report = migrateUp(fleet.connections, migrations, {
      home: { lockTimeoutMs: 60_000 },
      waves: [{ name: 'all' }],
      onEvent: (event) => {
        events.push(event)
        if (event.type === 'wave-started') started.give()
      },
    })
    await started.given
    const tenant = await fleet.add('late-tenant')
    await fleet.admin.query('select pg_advisory_unlock(5151)')
    expect(await report).toMatchObject({ outcome: 'done', done: 33 })
    expect(events).toContainEqual({ type: 'wave-started', wave: 'sweep', homes: 1 })
    expect(await hasColumn(tenant, 'late')).toBe(true)
  })

  it('refuses a file that changed after it ran, before anything runs', async () => {
    const changed = await migrationsOf({ ...files, '0006-late.sql': 'alter table shipment add column other int;' })
    await expect(migrateUp(fleet.connections, changed)).rejects.toMatchObject({
      code: 'ERR_SCHEMA_DRIFT',
      message: expect.stringMatching(
        /^Cannot migrate: files differ from what ran\n.*0006-late\.sql: changed after it ran/,
      ),
    })
    expect(await countWith('other')).toBe(0)
  })

  it('refuses older code on a newer schema unless it is allowed, which changes nothing', async () => {
    const { '0006-late.sql': _, ...older } = files
    const migrations = await migrationsOf(older)
    const report = await migrateUp(fleet.connections, migrations)
    expect(report).toMatchObject({ outcome: 'stopped' })
    expect(report.failures[0]).toMatchObject({
      code: 'ERR_SCHEMA_NEWER',
      message:
        'Cannot migrate: "0006-late" ran here and no file is called so; deploy the release that has the file, or allow newer schemas',
    })
    expect(await migrateUp(fleet.connections, migrations, { home: { allowNewer: true } })).toMatchObject({
      outcome: 'done',
    })
    expect(await countWith('late')).toBe(fleet.homes.length)
    expect(await migrateUp(fleet.connections, await migrationsOf(files))).toMatchObject({ outcome: 'done' })
  })

  it('refuses what the lint finds, unless the rule is allowed', async () => {
    const migrations = await migrationsOf({ ...files, '0099-drop.sql': 'drop table shipment;' })
    await expect(migrateUp(fleet.connections, migrations)).rejects.toMatchObject({
      code: 'ERR_MIGRATION_INVALID',
      message: expect.stringMatching(
        /^Cannot migrate the fleet: the lint refuses this; .*\n.*0099-drop\.sql:1: M\d\d /,
      ),
    })
    const { findings } = await planMigrations(fleet.connections, migrations)
    expect(findings.some(({ severity, migration }) => severity === 'error' && migration === '0099-drop')).toBe(true)
  })

  it('reports frozen homes and homes on servers that are down, and migrates them later', async () => {
    const home = fleet.homes[3] as TestTenant
    const token = await freezeHome(fleet.connections, home, { reason: 'being moved', heldBy: 'mover', forMs: 60_000 })
    await expect(
      freezeHome(fleet.connections, home, { reason: 'also', heldBy: 'other', forMs: 1_000 }),
    ).rejects.toMatchObject({
      code: 'ERR_MIGRATION_LOCKED',
      message: expect.stringMatching(/is frozen by mover until .*: being moved; wait, or give its token$/),
    })
    await fleet.admin.query(`update rowhouse.server set state = 'down' where name = 'second'`)
    const migrations = await also('0007-frozen.sql', 'alter table shipment add column frozen int;')
    const report = await migrateUp(fleet.connections, migrations)
    expect(report.outcome).toBe('done')
    expect(report.left.map(({ reason }) => reason.replace(/until \S+:/, 'until …:')).sort()).toEqual([
      'frozen until …: being moved',
      ...Array.from({ length: 13 }, () => 'server "second" is down'),
    ])
    expect(await hasColumn(home, 'frozen')).toBe(false)

    await fleet.admin.query(`update rowhouse.server set state = 'active' where name = 'second'`)
    // The list forgot: the home itself says that it is frozen.
    await fleet.admin.query('update rowhouse.fleet_home set frozen_until = null')
    expect((await migrateUp(fleet.connections, migrations)).left).toMatchObject([
      { tenant: home.slug, reason: expect.stringMatching(/being moved$/) },
    ])
    expect(await hasColumn(home, 'frozen')).toBe(false)
    await thawHome(fleet.connections, home, token)
    expect(await migrateUp(fleet.connections, migrations)).toMatchObject({ outcome: 'done', done: 1, left: [] })
  })

  it('reports homes that cannot be reached, and stops when there are too many', async () => {
    const migrations = await also('0008-away.sql', 'alter table shipment add column away int;')
    const { rows } = await fleet.admin.query(`select admin_url from rowhouse.server where name = 'second'`)
    await fleet.admin.query(`update rowhouse.server set admin_url = 'env:FLEET_NOWHERE' where name = 'second'`)
    process.env.FLEET_NOWHERE = 'postgres://nobody@127.0.0.1:1/none'
    const report = await migrateUp(fleet.connections, migrations, { maxErrorRate: 1, waves: [{ name: 'all' }] })
    expect(report.outcome).toBe('failed')
    expect(report.failures).toHaveLength(13)
    expect(report.failures[0]).toMatchObject({
      code: 'ERR_DATABASE_UNAVAILABLE',
      message: expect.stringMatching(/^Cannot reach server "second"/),
    })
    await fleet.admin.query(`update rowhouse.server set admin_url = $1 where name = 'second'`, [rows[0].admin_url])
    expect(await resumeFleet(fleet.connections, migrations)).toMatchObject({ outcome: 'done', done: 13 })
  })

  it('stops when it is told to, finishes what is at work, and is resumed', async () => {
    const migrations = await also('0009-abort.sql', 'alter table shipment add column abort int;')
    const stop = new AbortController()
    const report = await migrateUp(fleet.connections, migrations, {
      signal: stop.signal,
      onEvent: (event) => {
        if (event.type === 'home-done') stop.abort()
      },
    })
    expect(report).toMatchObject({ outcome: 'stopped', reason: 'the run was told to stop', done: 1 })
    expect(await resumeFleet(fleet.connections, migrations)).toMatchObject({ outcome: 'done' })
    expect(await countWith('abort')).toBe(fleet.homes.length)
  })

  it('goes on after its process was killed in a wave', async () => {
    const name = '0010-killed.sql'
    const text = 'select pg_advisory_xact_lock_shared(5152); alter table shipment add column killed int;'
    const migrations = await also(name, text)
    const folder = await mkdtemp(join(tmpdir(), 'rowhouse-fleet-'))
    await Promise.all(Object.entries(files).map(([file, content]) => writeFile(join(folder, file), content)))
    await fleet.admin.query('select pg_advisory_lock(5152)')
    const script = join(import.meta.dirname, 'fleet-child.ts')
    const args = ['--conditions=source', '--import', 'tsx', script, fleet.central.adminUrl, folder]
    const child = spawn(process.execPath, args, { stdio: 'inherit' })
    const waiting = `select from pg_stat_activity where wait_event = 'advisory' and query like '%5152%' and pid <> pg_backend_pid()`
    await vi.waitUntil(async () => (await fleet.admin.query(waiting)).rowCount !== 0, { timeout: 60_000, interval: 10 })
    child.kill('SIGKILL')
    await once(child, 'exit')
    await fleet.admin.query('select pg_advisory_unlock(5152)')
    await vi.waitUntil(async () => (await fleet.admin.query(waiting)).rowCount === 0, { timeout: 20_000, interval: 10 })
    expect(await resumeFleet(fleet.connections, migrations)).toMatchObject({ outcome: 'done', left: [] })
    expect(await countWith('killed')).toBe(fleet.homes.length)
    const { rows } = await fleet.admin.query(`select state from rowhouse.fleet_run where operator = 'killed'`)
    expect(rows).toEqual([{ state: 'interrupted' }])
    await rm(folder, { recursive: true })
  })

  it('ends when the connection that holds its lock is lost', async () => {
    const migrations = await also(
      '0011-lost.sql',
      'select pg_advisory_xact_lock_shared(5153); alter table shipment add column lost int;',
    )
    await fleet.admin.query('select pg_advisory_lock(5153)')
    const started = createSignal()
    const run = migrateUp(fleet.connections, migrations, {
      home: { lockTimeoutMs: 60_000 },
      onEvent: (event) => {
        if (event.type === 'wave-started') started.give()
      },
    }).catch((error: unknown) => error)
    await started.given
    await fleet.admin.query(
      `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and objid = (7262374404 & 4294967295)::oid`,
    )
    await fleet.admin.query('select pg_advisory_unlock(5153)')
    expect(await run).toMatchObject({
      code: 'ERR_DATABASE_UNAVAILABLE',
      message: expect.stringMatching(/^Cannot go on: the connection that held the fleet's lock is lost .*run again$/),
    })
    expect(await resumeFleet(fleet.connections, migrations)).toMatchObject({ outcome: 'done' })
    expect(await countWith('lost')).toBe(fleet.homes.length)
  })

  it('says which options make no sense', () => {
    expect(() => migrateUp(fleet.connections, [], { perServer: 7 })).toThrow(
      new RangeError('Cannot migrate 7 homes at a time: wanted perServer from 1 to 6'),
    )
    expect(() => migrateUp(fleet.connections, [], { maxErrorRate: 2 })).toThrow(
      new RangeError('Cannot stop at an error rate of 2: wanted maxErrorRate from 0 to 1'),
    )
    expect(() => migrateUp(fleet.connections, [], { waves: [{ name: 'x', portions: [0.5, 0.1] }] })).toThrow(
      new RangeError('Cannot arrange wave "x": its portions are 0.5, 0.1; wanted growing fractions that end with 1'),
    )
  })
})
