import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { UnavailableError } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportToFolder } from '../../src/backup/export-to-folder.ts'
import { type EraseCertificate, slugDigest, verifyCertificate } from '../../src/lifecycle/certificate.ts'
import type { LeavingTenant } from '../../src/lifecycle/offboard.ts'
import { deleteRows } from '../../src/lifecycle/tenant-rows.ts'
import type { StepContext } from '../../src/provision/step.ts'
import { OperatorConnections } from '../../src/registry/operator-connections.ts'
import { addRanges, checksumRanges, PLAIN_TEXT } from '../../src/tenant-data/checksum.ts'
import { listTenantTables } from '../../src/tenant-data/tenant-tables.ts'
import { createPlatform, type Platform, SCHEMA } from '../support/platform.ts'

let platform: Platform
let exportError: Error | undefined
const exported: LeavingTenant[] = []

/** Partitioned, referring to itself, and refusing what is not meant for it. */
const MORE = `
create table note (
  tenant_id uuid not null, id bigint not null, parent_id bigint, day date not null default '2026-01-01',
  primary key (tenant_id, id, day)
) partition by range (day);
create table note_2025 partition of note for values from ('2025-01-01') to ('2026-01-01');
create table note_2026 partition of note for values from ('2026-01-01') to ('2027-01-01');
create table tree (
  tenant_id uuid not null, id bigint not null, parent_id bigint,
  primary key (tenant_id, id), foreign key (tenant_id, parent_id) references tree (tenant_id, id)
);
create index tree_parent_idx on tree (tenant_id, parent_id);
`

beforeAll(async () => {
  platform = await createPlatform(
    {
      exportTenant: async (tenant) => {
        if (exportError !== undefined) throw exportError
        exported.push(tenant)
        return { reference: `file:/exports/${tenant.id}.tar` }
      },
    },
    SCHEMA + MORE,
  )
})
afterAll(() => platform.close())

const MODELS = ['pooled', 'schema', 'database'] as const
const SERVERS = ['main', 'old-1'] as const
const by = 'Ada'
const leaving = { reason: 'contract ended', by, retainDays: 0 }

async function fill(slug: string, rows = 3): Promise<void> {
  const app = await platform.openApp()
  await app.withTenant(slug, async (db) => {
    await db.query(`insert into shipment (reference) select 'R' || n from generate_series(1, $1::int) n`, [rows])
    await db.query('insert into leg (id, shipment_id) select id, id from shipment')
    await db.query(`insert into note (id, day) select n, date '2025-12-31' + n::int from generate_series(0, 1) n`)
    await db.query('insert into tree (id, parent_id) select n, nullif(n - 1, 0) from generate_series(1, 3) n')
  })
}

function onServer<T>(server: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  return server === 'main' ? fn(platform.admin) : platform.onOld(fn)
}

/** Rows and digest of every tenant table of a tenant in the server's shared tables. */
async function digestOf(server: string, tenantId: string): Promise<Record<string, unknown>> {
  return onServer(server, async (client) => {
    await client.query(`begin; ${PLAIN_TEXT}`)
    const digests: Record<string, unknown> = {}
    for (const table of await listTenantTables(client, 'public'))
      digests[table.name] = addRanges(await checksumRanges(client, table, tenantId))
    await client.query('rollback')
    return digests
  })
}

/** All places of a database where an id or a text still stands, whatever the column is called. */
async function placesOf(client: pg.ClientBase, wanted: string, schemas: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and not c.relispartition and n.nspname ~ $1 order by 1`,
    [schemas],
  )
  const found: string[] = []
  for (const { name } of rows) {
    const { rowCount } = await client.query(`select from ${name} t where strpos(t::text, $1) > 0 limit 1`, [wanted])
    if (rowCount !== 0) found.push(name)
  }
  return found
}

const ANY_SCHEMA = '^(?!pg_|information_schema)'

describe.each(SERVERS)('on server %s', (server) => {
  it.each(MODELS)('a %s tenant is erased to the last row, and its neighbour keeps every bit', async (model) => {
    const slug = `gone-${model}-${server}`
    const beside = await platform.plane.provision({
      slug: `stays-${model}-${server}`,
      wish: { model: 'pooled', server },
    })
    const email = `${model}.${server}@customer.example`
    const { id, placement } = await platform.plane.provision({
      slug,
      wish: { model, server },
      administrator: { email },
    })
    await Promise.all([fill(slug, 12_000), fill(beside.slug)])
    await platform.plane.tenants.addDomain(slug, `${slug}.example.com`)
    await platform.plane.tenants.createApiKey(slug, { name: 'ci' })
    await platform.plane.lifecycle.suspend(slug, { kind: 'unpaid', cause: `${email} does not answer`, by })
    const before = await digestOf(server, beside.id)

    const left = await platform.plane.lifecycle.offboard(slug, leaving)
    expect(left).toMatchObject({ tenantId: id, exportReference: `file:/exports/${id}.tar` })
    expect(exported.at(-1)).toMatchObject({ id, slug, home: { server, model, schema: placement.schema } })
    const sealed = await platform.plane.lifecycle.erase(slug, { by, keptDays: { physicalBackups: 35 } })

    const { certificate } = sealed
    expect(certificate).toMatchObject({
      tenantId: id,
      slugDigest: slugDigest(id, slug),
      requestedBy: by,
      reason: 'retention ended',
      beforeRetentionEnded: false,
      offboarding: { reason: leaving.reason, requestedBy: by, exportReference: `file:/exports/${id}.tar` },
      home: { server, model },
      removed: { namespace: model === 'pooled' ? null : model, domains: 1, apiKeys: 1 },
    })
    const rowsOf = (table: string) =>
      certificate.erased.find((found) => found.table === table && found.server === server)?.rows
    expect(['shipment', 'leg', 'note', 'tree'].map(rowsOf)).toEqual([12_000, 12_000, 2, 3])
    expect(certificate.proof.map((proof) => [proof.server, proof.rowsLeft])).toEqual([
      ['main', 0],
      ['old-1', 0],
    ])
    const backups = certificate.remains.find(
      (rest) => rest.what === 'physical backups' && rest.where === `server ${server}`,
    )
    expect(Date.parse(backups?.until ?? '') - Date.parse(certificate.erasedAt)).toBe(35 * 86_400_000)
    expect(JSON.stringify(certificate)).not.toContain(slug)
    expect(verifyCertificate(platform.central.rootKey, JSON.parse(JSON.stringify(sealed)))).toEqual({ valid: true })

    expect(await digestOf(server, beside.id)).toEqual(before)
    const ids = await onServer(server, (client) => placesOf(client, id, ANY_SCHEMA))
    const registry = [
      'rowhouse.erasure',
      'rowhouse.lifecycle_event',
      'rowhouse.tenant',
      'rowhouse_journal.operation_outputs',
      'rowhouse_journal.workflow_input',
      'rowhouse_journal.workflow_output',
      'rowhouse_journal.workflow_status',
    ]
    expect(ids.filter((name) => !registry.includes(name))).toEqual([])
    // Neither its name nor what people wrote about it.
    for (const text of [slug, email]) expect(await placesOf(platform.admin, text, ANY_SCHEMA)).toEqual([])
    const home = placement.schema ?? placement.database ?? 'none'
    const namespaces = 'select nspname as name from pg_namespace union all select datname from pg_database'
    const { rows } = await onServer(server, (client) => client.query(namespaces))
    expect(rows.map(({ name }) => name)).not.toContain(home)
    expect(await platform.plane.findOrphans()).toEqual([])
    const app = await platform.openApp()
    await expect(app.withTenant(slug, (db) => db.many('select 1'))).rejects.toMatchObject({
      code: 'ERR_TENANT_NOT_FOUND',
    })
    await expect(app.withTenant(id, (db) => db.many('select 1'))).rejects.toMatchObject({
      code: 'ERR_TENANT_NOT_FOUND',
    })
  })
})

describe('names of an erased tenant', () => {
  it('are never given out again, neither to sign-ups nor by hand, and cannot be read', async () => {
    await platform.plane.provision({ slug: 'phoenix' })
    await platform.plane.tenants.addDomain('phoenix', 'phoenix.example.com')
    await platform.plane.lifecycle.offboard('phoenix', leaving)
    const { certificate } = await platform.plane.lifecycle.erase('phoenix', { by })
    for (const again of [
      () => platform.plane.provision({ slug: 'phoenix' }),
      () => platform.plane.provision({ slug: 'phoenix', idempotencyKey: 'another' }),
      () => platform.plane.tenants.create({ slug: 'phoenix' }),
    ]) {
      await expect(again()).rejects.toMatchObject({
        code: 'ERR_TENANT_SLUG_TAKEN',
        message: 'Cannot name a tenant "phoenix": the slug is taken; choose another one',
      })
    }
    await platform.plane.provision({ slug: 'other-bird' })
    await expect(platform.plane.tenants.addDomain('other-bird', 'phoenix.example.com')).rejects.toMatchObject({
      code: 'ERR_TENANT_DOMAIN_TAKEN',
    })
    const rename = `update rowhouse.tenant set slug = 'phoenix' where slug = 'other-bird'`
    await expect(platform.admin.query(rename)).rejects.toMatchObject({ constraint: 'tenant_slug_key' })
    expect(await placesOf(platform.admin, 'phoenix', '^rowhouse$')).toEqual([])
    // Control: the id alone is there, and a name that was never used is free.
    expect(await placesOf(platform.admin, certificate.tenantId, '^rowhouse$')).toContain('rowhouse.erasure')
    expect(await platform.plane.provision({ slug: 'phoenix-2' })).toMatchObject({ state: 'active' })
  })
})

describe('erasing', () => {
  const lifecycle = () => platform.plane.lifecycle

  it('waits for the clock, unless somebody says why not', async () => {
    await platform.plane.provision({ slug: 'clock' })
    const { retainUntil } = await lifecycle().offboard('clock', { ...leaving, retainDays: 30 })
    const days = (Date.parse(retainUntil) - Date.now()) / 86_400_000
    expect(days).toBeGreaterThan(29.9)
    expect(days).toBeLessThan(30.1)
    await expect(lifecycle().erase('clock', { by })).rejects.toMatchObject({
      code: 'ERR_TENANT_RETAINED',
      message: `Cannot erase tenant "clock": it is retained until ${retainUntil}; wait, or erase it now and say why`,
    })
    await expect(lifecycle().erase('clock', { by, now: true })).rejects.toMatchObject({
      code: 'ERR_CAUSE_INVALID',
      message:
        'Cannot erase tenant "clock" before its clock has run out without a reason: say why, the certificate repeats it',
    })
    const { certificate } = await lifecycle().erase('clock', { by, now: true, reason: 'asked to be forgotten' })
    expect(certificate).toMatchObject({ beforeRetentionEnded: true, reason: 'asked to be forgotten' })
    expect(await lifecycle().certificate(certificate.tenantId)).toMatchObject({ certificate })
    await expect(lifecycle().erase(certificate.tenantId, { by })).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
      message: `Cannot erase tenant "${certificate.tenantId}": it is erased; see its certificate with "rowhouse tenant certificate ${certificate.tenantId}"`,
    })
    await expect(lifecycle().hold(certificate.tenantId, { by, reason: 'too late' })).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
    })
  })

  it('waits for the server the tenant lives on, and certifies nothing meanwhile', async () => {
    await platform.plane.provision({ slug: 'out-of-reach', wish: { model: 'pooled', server: 'old-1' } })
    await fill('out-of-reach')
    await lifecycle().offboard('out-of-reach', leaving)
    await platform.admin.query(`update rowhouse.server set state = 'down' where name = 'old-1'`)
    await expect(lifecycle().erase('out-of-reach', { by })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.stringContaining('it lives on "old-1", which is marked as down; bring it back first'),
    })
    expect((await lifecycle().show('out-of-reach')).state).toBe('offboarding')
    await platform.plane.servers.activate('old-1')
    const { certificate } = await lifecycle().erase('out-of-reach', { by })
    expect(certificate.erased).toContainEqual(expect.objectContaining({ server: 'old-1', table: 'tree', rows: 3 }))
  })

  it('of a tenant that has not left, or is not there, is refused', async () => {
    await platform.plane.provision({ slug: 'working' })
    await expect(lifecycle().erase('working', { by, now: true, reason: 'in a hurry' })).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
      message: 'Cannot erase tenant "working": it is active, wanted offboarding; offboard it first',
    })
    await expect(lifecycle().erase('nobody', { by })).rejects.toMatchObject({
      code: 'ERR_TENANT_NOT_FOUND',
      message: 'Cannot erase tenant "nobody": it does not exist',
    })
  })

  it('stops before the first row when a table outside the walls knows the tenant, and keeps it by name', async () => {
    await platform.admin.query('create table invoice (tenant_id text, amount int)')
    const { id } = await platform.plane.provision({ slug: 'invoiced', wish: { model: 'pooled', server: 'main' } })
    await fill('invoiced')
    await platform.admin.query('insert into invoice values ($1, 100)', [id])
    await lifecycle().offboard('invoiced', leaving)
    const before = await digestOf('main', id)
    await expect(lifecycle().erase('invoiced', { by })).rejects.toMatchObject({
      code: 'ERR_ERASE_INCOMPLETE',
      message: `Cannot erase tenant "${id}": rows of it are in tables outside the walls: "public"."invoice" on "main" (1 rows); delete them, or keep them by name. Nothing was erased`,
    })
    expect(await digestOf('main', id)).toEqual(before)
    const { certificate } = await lifecycle().erase('invoiced', { by, keep: ['public.invoice'] })
    expect(certificate.remains).toContainEqual(
      expect.objectContaining({ what: '1 rows of public.invoice', where: 'server main' }),
    )
    await platform.admin.query('drop table invoice')
  })

  it('takes a copy in a materialized view along, and what a move left on another server', async () => {
    await platform.admin.query('create materialized view report as select tenant_id, count(*) from shipment group by 1')
    const { id } = await platform.plane.provision({ slug: 'copied', wish: { model: 'schema', server: 'old-1' } })
    await platform.admin.query(`insert into shipment (tenant_id, reference) values ($1, 'left behind')`, [id])
    await platform.admin.query('refresh materialized view report')
    await lifecycle().offboard('copied', leaving)
    const { certificate } = await lifecycle().erase('copied', { by })
    expect(certificate.erased).toContainEqual({
      server: 'main',
      database: null,
      schema: 'public',
      table: 'shipment',
      rows: 1,
    })
    expect(await placesOf(platform.admin, id, '^public$')).toEqual([])
    expect((await platform.admin.query('select from report where tenant_id = $1', [id])).rowCount).toBe(0)
    await platform.admin.query('drop materialized view report')
  })

  it('is no certificate when somebody still writes: the last look finds it, and the next attempt erases it', async () => {
    const { id } = await platform.plane.provision({ slug: 'leaky', wish: { model: 'pooled', server: 'main' } })
    await lifecycle().offboard('leaky', leaving)
    // A hand with a superuser's rights puts a row back behind each delete.
    await platform.admin.query(`
      create function put_back() returns trigger language plpgsql as $$ begin
        insert into shipment (tenant_id, reference) values (old.tenant_id, 'back'); return null; end $$;
      create trigger put_back after delete on rowhouse.resident for each row execute function put_back()`)
    await expect(lifecycle().erase('leaky', { by })).rejects.toMatchObject({
      code: 'ERR_ERASE_INCOMPLETE',
      message: `Cannot call tenant "${id}" erased: there are 1 in public.shipment on "main"; erase it again, and find out who writes there`,
    })
    expect(await lifecycle().show('leaky')).toMatchObject({ state: 'offboarding' })
    await platform.admin.query('drop trigger put_back on rowhouse.resident')
    await expect(lifecycle().cancelOffboarding('leaky', { by, reason: 'changed mind' })).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
      message: 'Cannot cancel the offboarding of tenant "leaky": the tenant is being erased',
    })
    expect(await lifecycle().erase('leaky', { by })).toMatchObject({ certificate: { tenantId: id } })
  })

  it('asked for twice at once is done once', async () => {
    await platform.plane.provision({ slug: 'at-once', wish: { model: 'schema', server: 'main' } })
    await lifecycle().offboard('at-once', leaving)
    const [one, two] = await Promise.all([lifecycle().erase('at-once', { by }), lifecycle().erase('at-once', { by })])
    expect(one).toEqual(two)
  })

  it('with a login that policies bind is refused: it would find no rows and call the tenant erased', async () => {
    const { id } = await platform.plane.provision({ slug: 'bound', wish: { model: 'pooled', server: 'main' } })
    await fill('bound')
    await platform.admin.query(`create role bound_operator login password 'x' in role rowhouse_owner`)
    const url = new URL(platform.central.adminUrl)
    url.username = 'bound_operator'
    url.password = 'x'
    const connections = new OperatorConnections(url.href)
    await expect(deleteRows(connections, { server: 'main', database: undefined }, id, undefined)).rejects.toMatchObject(
      {
        code: 'ERR_PRIVILEGE_MISSING',
        message: expect.stringContaining(
          'Cannot see all rows on server "main": policies bind the operator\'s login "bound_operator"; run "alter role "bound_operator" bypassrls',
        ),
      },
    )
    await connections.close()
    expect(Object.values(await digestOf('main', id))).toContainEqual({ rows: 3, sum: expect.any(String) })
    await platform.admin.query('drop role bound_operator')
  })
})

describe('what a tenant has outside of its database', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rowhouse-exports-'))
  const left: string[] = []
  let broken = true
  const nothing = { check: async () => true, do: async () => {}, undo: async () => {} }
  const steps = [
    {
      ...nothing,
      name: 'address',
      leave: async ({ tenant, idempotencyKey }: StepContext) => {
        left.push(`address of ${tenant.slug}, ${tenant.plan}, ${tenant.home?.server}, ${idempotencyKey}`)
      },
    },
    { ...nothing, name: 'letter' },
    {
      ...nothing,
      name: 'contract',
      leave: async ({ tenant }: StepContext) => {
        if (broken) throw new Error('the registrar is closed')
        left.push(`contract of ${tenant.slug}`)
      },
    },
  ]

  it('is taken back in reverse before the first row goes, and named where nobody says how', async () => {
    const { adminUrl: url, rootKey } = platform.central
    await platform.reopen({ steps, exportTenant: exportToFolder({ url, rootKey, folder }) })
    const { id } = await platform.plane.provision({ slug: 'outside', wish: { model: 'pooled', server: 'main' } })
    await fill('outside')
    const { exportReference } = await platform.plane.lifecycle.offboard('outside', leaving)
    expect(readdirSync(new URL(`${exportReference}/`)).sort()).toEqual([
      'README.md',
      'SHA256SUMS',
      'leg.csv',
      'note.csv',
      'schema.json',
      'schema.sql',
      'shipment.csv',
      'tree.csv',
    ])
    const before = await digestOf('main', id)
    await expect(platform.plane.lifecycle.erase('outside', { by })).rejects.toMatchObject({
      code: 'ERR_HOOK_REFUSED',
      message: expect.stringContaining('step "leave contract" failed: the registrar is closed'),
    })
    expect(await digestOf('main', id)).toEqual(before)
    broken = false
    const { certificate } = await platform.plane.lifecycle.erase('outside', { by })
    expect(left).toEqual(['contract of outside', `address of outside, standard, main, erase:${id}`])
    const remains = certificate.remains.filter(({ where }) => where === 'outside of the database')
    expect(remains.map(({ what }) => what)).toEqual(['what step "letter" made, if anything'])
    await platform.reopen()
    rmSync(folder, { recursive: true })
  })

  it('stays while somebody holds the tenant', async () => {
    await platform.reopen({ steps })
    await platform.plane.provision({ slug: 'held-outside' })
    await platform.plane.lifecycle.offboard('held-outside', leaving)
    await platform.plane.lifecycle.hold('held-outside', { reason: 'case 12', by })
    left.length = 0
    await expect(platform.plane.lifecycle.erase('held-outside', { by })).rejects.toMatchObject({
      code: 'ERR_TENANT_HELD',
    })
    expect(left).toEqual([])
    await platform.reopen()
  })
})

describe('offboarding', () => {
  const lifecycle = () => platform.plane.lifecycle

  it('says why a step failed that was tried again and again', async () => {
    await platform.plane.provision({ slug: 'away' })
    exportError = new UnavailableError('ERR_HOOK_UNAVAILABLE', 'Cannot export: the bucket does not answer')
    await expect(lifecycle().offboard('away', leaving)).rejects.toMatchObject({
      name: 'UnavailableError',
      code: 'ERR_HOOK_UNAVAILABLE',
      message: 'Cannot export: the bucket does not answer',
    })
    exportError = undefined
    expect(await lifecycle().offboard('away', leaving)).toMatchObject({ exportReference: expect.any(String) })
  })

  it('starts no clock while the export fails, and goes on when it is asked for again', async () => {
    await platform.plane.provision({ slug: 'no-export' })
    exportError = new Error('no space left in the bucket')
    await expect(lifecycle().offboard('no-export', leaving)).rejects.toMatchObject({
      code: 'ERR_HOOK_REFUSED',
      message: 'Cannot offboard tenant "no-export": step "export" failed: no space left in the bucket',
      reason: 'export-failed',
    })
    expect(await lifecycle().show('no-export')).toMatchObject({
      state: 'offboarding',
      offboarding: { retainUntil: undefined, exportReference: undefined },
    })
    await expect(lifecycle().erase('no-export', { by, now: true, reason: 'in a hurry' })).rejects.toMatchObject({
      code: 'ERR_TENANT_RETAINED',
      message:
        'Cannot erase tenant "no-export": its offboarding has not ended, so no clock runs; offboard it again to go on',
    })
    exportError = undefined
    expect(await lifecycle().offboard('no-export', leaving)).toMatchObject({ exportReference: expect.any(String) })
    await expect(lifecycle().offboard('no-export', leaving)).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
      message: expect.stringContaining('it is offboarding already, retained until'),
    })
  })

  it('closes the tenant at once, and is taken back with everything as it was', async () => {
    const { id } = await platform.plane.provision({
      slug: 'stays-after-all',
      wish: { model: 'pooled', server: 'main' },
    })
    await fill('stays-after-all')
    const before = await digestOf('main', id)
    await lifecycle().offboard('stays-after-all', { ...leaving, retainDays: 30 })
    const app = await platform.openApp()
    await expect(app.withTenant('stays-after-all', (db) => db.many('select 1'))).rejects.toMatchObject({
      code: 'ERR_TENANT_NOT_FOUND',
    })
    const request = { by, reason: 'changed their mind' }
    for (const wrong of [
      () => lifecycle().resume('stays-after-all', request),
      () => lifecycle().suspend('stays-after-all', { kind: 'abuse', cause: 'spam', by }),
    ]) {
      await expect(wrong()).rejects.toMatchObject({ code: 'ERR_TENANT_STATE' })
    }
    expect(await lifecycle().cancelOffboarding('stays-after-all', request)).toMatchObject({
      state: 'suspended',
      suspension: { kind: 'request', cause: 'offboarding cancelled: changed their mind' },
      offboarding: undefined,
    })
    await lifecycle().resume('stays-after-all', request)
    expect(await digestOf('main', id)).toEqual(before)
    const again = await platform.openApp()
    expect(await again.withTenant('stays-after-all', (db) => db.many('select from shipment'))).toHaveLength(3)
    await expect(lifecycle().cancelOffboarding('stays-after-all', request)).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
      message: 'Cannot cancel the offboarding of tenant "stays-after-all": it is active',
    })
  })

  it.each([-1, 1.5, 36_501, Number.NaN])('for %s days is refused', async (retainDays) => {
    await expect(lifecycle().offboard('nobody', { ...leaving, retainDays })).rejects.toThrow(
      new RangeError('Cannot offboard tenant "nobody": wanted retainDays from 0 to 36500'),
    )
  })
})

describe('a certificate', () => {
  it('that was changed, or written by somebody else, is found out', async () => {
    await platform.plane.provision({ slug: 'certified' })
    await platform.plane.lifecycle.offboard('certified', leaving)
    const sealed = await platform.plane.lifecycle.erase('certified', { by })
    const { rootKey } = platform.central
    const verdict = (change: Partial<EraseCertificate>) =>
      verifyCertificate(rootKey, { ...sealed, certificate: { ...sealed.certificate, ...change } })
    expect(verdict({})).toEqual({ valid: true })
    expect(verdict({ requestedBy: 'Grace' })).toEqual({ valid: false, fault: 'digest' })
    expect(verdict({ remains: [] })).toEqual({ valid: false, fault: 'digest' })
    const reordered = Object.fromEntries(Object.entries(sealed.certificate).toReversed())
    expect(verifyCertificate(rootKey, { ...sealed, certificate: reordered })).toEqual({ valid: true })
    expect(verifyCertificate('cd'.repeat(32), sealed)).toEqual({ valid: false, fault: 'signature' })
    for (const document of [null, 'text', {}, { certificate: null }, { certificate: { format: 'other' } }])
      expect(verifyCertificate(rootKey, document)).toEqual({ valid: false, fault: 'malformed' })
    for (const text of [
      'delete from rowhouse.erasure',
      `update rowhouse.erasure set certificate = '{}'`,
      'truncate rowhouse.erasure',
    ])
      await expect(platform.admin.query(text)).rejects.toMatchObject({ constraint: 'rowhouse_tenant_lifecycle' })
  })
})
