import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findDrift } from '../../src/fleet/drift.ts'
import type { Migration } from '../../src/fleet/migration.ts'
import { repairHome } from '../../src/fleet/repair-home.ts'
import { migrateUp } from '../../src/fleet/run.ts'
import { createFleet, type TestFleet, type TestTenant } from './fleet.ts'
import { migrationsOf } from './folder.ts'

const SCHEMA = `
  create table port (code text primary key, name text not null);
  select rowhouse.publish_reference('port');
  create type stage as enum ('open', 'closed');
  create function label_of(text) returns text language sql immutable return upper($1);
  create table shipment (
    tenant_id uuid not null, id bigint generated always as identity, port text references port, stage stage not null default 'open',
    label text not null, weight numeric(12,2) default 0 check (weight >= 0), unit_id uuid, primary key (tenant_id, id));
  create index shipment_label_idx on shipment (tenant_id, label_of(label));
  create table event (
    tenant_id uuid not null, id bigint, shipment_id bigint not null, note text,
    primary key (tenant_id, id), foreign key (tenant_id, shipment_id) references shipment (tenant_id, id));
  create index event_shipment_idx on event (tenant_id, shipment_id);
  create function touch() returns trigger language plpgsql as $$ begin new.note := 'x'; return new; end $$;
  create trigger touched before insert on event for each row execute function touch();
  create view open_shipment with (security_invoker = true) as select tenant_id, id, label from shipment where stage = 'open';
  select rowhouse.protect('shipment', unit_scope => true);`
const files = {
  '0001-schema.sql': SCHEMA,
  '0002-index.sql': 'create index concurrently event_note_idx on event (tenant_id, note);',
}

let fleet: TestFleet
let migrations: readonly Migration[]
let schemas: readonly TestTenant[]
beforeAll(async () => {
  fleet = await createFleet()
  migrations = await migrationsOf(files)
  for (const slug of ['one', 'two', 'three', 'four']) await fleet.add(slug)
  await fleet.add('far', { server: 'second' })
  await fleet.add('own', { model: 'database' })
  schemas = fleet.homes
  const report = await migrateUp(fleet.connections, migrations)
  expect(report.failures).toEqual([])
  expect(report).toMatchObject({ outcome: 'done', done: 8 })
})
afterAll(() => fleet.close())

/** As somebody with psql would, who is bound by nothing. */
const alter = (home: TestTenant, sql: string) =>
  fleet.connections.transact(home, async (client) => {
    await client.query(`set local search_path = ${home.schema ?? 'public'}, public`)
    if (/foreign key/.test(sql)) await client.query('set local role none')
    await client.query(sql)
  })

describe('findDrift()', () => {
  it('finds the same fingerprint in every model, for what the migrations make', async () => {
    const report = await findDrift(fleet.connections, migrations)
    expect(report.drifted.map(({ home, differences }) => [home, differences])).toEqual([])
    expect(report).toMatchObject({ compared: 8, left: [] })
    const { rows } = await fleet.admin.query('select distinct fingerprint from rowhouse.fleet_home')
    expect(rows).toEqual([{ fingerprint: report.fingerprint }])
    expect((await fleet.admin.query(`select from pg_namespace where nspname like 't\\_\\_%'`)).rowCount).toBe(0)
  })

  const damages: [string, string, string[]][] = [
    ['a missing index', 'drop index event_shipment_idx', ['missing index event_shipment_idx']],
    ['an extra index', 'create index stray_idx on event (tenant_id)', ['extra index stray_idx']],
    [
      'a missing constraint',
      'alter table shipment drop constraint shipment_weight_check',
      ['missing constraint shipment.shipment_weight_check'],
    ],
    [
      'a missing foreign key',
      'alter table event drop constraint event_tenant_id_shipment_id_fkey',
      ['missing constraint event.event_tenant_id_shipment_id_fkey'],
    ],
    [
      'a missing column',
      'alter table event drop column note',
      ['changed order event', 'missing column event.note', 'missing index event_note_idx', 'changed grants event'],
    ],
    ['another default', 'alter table shipment alter weight set default 7', ['changed column shipment.weight']],
    ['a column that may be null', 'alter table shipment alter label drop not null', ['changed column shipment.label']],
    ['a wall that is down', 'alter table shipment no force row level security', ['changed table shipment']],
    ['a missing policy', 'drop policy rowhouse_unit on shipment', ['missing policy shipment.rowhouse_unit']],
    ['an extra policy', 'create policy open_door on shipment using (true)', ['extra policy shipment.open_door']],
    ['a grant too many', 'grant truncate on shipment to rowhouse_app', ['changed grants shipment']],
    ['a missing trigger', 'drop trigger touched on event', ['missing trigger event.touched']],
    [
      'another function',
      'create or replace function touch() returns trigger language plpgsql as $$ begin return null; end $$',
      ['changed function touch()'],
    ],
    ['a missing view', 'drop view open_shipment', ['missing view open_shipment']],
    [
      'a missing table',
      'drop table event',
      [
        'missing table event',
        'missing order event',
        'missing column event.id',
        'missing column event.note',
        'missing column event.shipment_id',
        'missing column event.tenant_id',
        'missing constraint event.event_pkey',
        'missing constraint event.event_tenant_id_shipment_id_fkey',
        'missing index event_note_idx',
        'missing index event_shipment_idx',
        'missing trigger event.touched',
        'missing policy event.rowhouse_tenant',
        'missing policy event.rowhouse_wall',
        'missing grants event',
      ],
    ],
  ]
  it.each(damages)('finds %s, and its repair plan mends it', async (_, damage, expected) => {
    const home = schemas[1] as TestTenant
    await alter(home, damage)
    const { drifted } = await findDrift(fleet.connections, migrations)
    expect(drifted.map(({ tenant }) => tenant)).toEqual([home.slug])
    const { differences, repair } = drifted[0] as (typeof drifted)[number]
    expect(differences.map(({ change, object }) => `${change} ${object.kind} ${object.name}`).sort()).toEqual(
      [...expected].sort(),
    )
    expect(repair.byHand).toEqual([])
    await repairHome(fleet.connections, home, repair)
    expect((await findDrift(fleet.connections, migrations)).drifted).toEqual([])
  })

  it('leaves to people what would lose data', async () => {
    const home = schemas[2] as TestTenant
    await alter(
      home,
      'create table extra (x int); alter table event add column more int; alter table event alter note type varchar(9)',
    )
    const { drifted } = await findDrift(fleet.connections, migrations)
    expect(drifted[0]?.repair.byHand).toEqual([
      'column event.note is character varying(9): wanted text; changing a type rewrites the table',
      'table extra is in no migration: keep its rows, then drop it',
      'column event.more is in no migration: keep its values, then drop it',
    ])
    await alter(home, 'drop table extra; alter table event drop column more, alter note type text')
  })

  it('lints its own repair', async () => {
    const home = schemas[2] as TestTenant
    await alter(home, 'alter table shipment alter label drop not null')
    const { drifted } = await findDrift(fleet.connections, migrations)
    expect(drifted[0]?.repair.statements).toEqual(['alter table shipment alter column label set not null'])
    expect(drifted[0]?.repair.findings).toMatchObject([{ migration: 'repair-1', line: 1 }])
    await alter(home, 'alter table shipment alter label set not null')
  })

  it('sees a foreign key that leads from a tenant’s schema to shared rows', async () => {
    const home = schemas[0] as TestTenant
    await alter(
      home,
      `alter table event drop constraint event_tenant_id_shipment_id_fkey;
       alter table event add constraint event_tenant_id_shipment_id_fkey foreign key (tenant_id, shipment_id) references public.shipment (tenant_id, id)`,
    )
    const { drifted } = await findDrift(fleet.connections, migrations)
    expect(drifted[0]?.differences).toMatchObject([
      {
        found: 'FOREIGN KEY (tenant_id, shipment_id) REFERENCES public.shipment(tenant_id, id)',
        wanted: 'FOREIGN KEY (tenant_id, shipment_id) REFERENCES shipment(tenant_id, id)',
      },
    ])
    await alter(
      home,
      `alter table event drop constraint event_tenant_id_shipment_id_fkey;
       alter table event add constraint event_tenant_id_shipment_id_fkey foreign key (tenant_id, shipment_id) references shipment (tenant_id, id)`,
    )
  })

  it('names homes it did not compare, and takes another home as the measure', async () => {
    const next = await migrationsOf({ ...files, '0003-next.sql': 'alter table event add column next int;' })
    expect((await findDrift(fleet.connections, next)).left).toHaveLength(8)
    const reference = schemas[3] as TestTenant
    await alter(reference, 'create index only_here_idx on event (tenant_id)')
    const report = await findDrift(fleet.connections, migrations, { reference })
    expect(report.drifted).toHaveLength(7)
    expect(report.drifted[0]?.differences).toMatchObject([
      { change: 'missing', object: { kind: 'index', name: 'only_here_idx' } },
    ])
  })
})
