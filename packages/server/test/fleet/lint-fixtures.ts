/** For each rule of the lint: files on which it speaks, and files on which it does not. All of the latter run on a server. */
export interface LintFixture {
  readonly rule: `M${number}`
  /** Files before the one that is looked at. @defaultValue the table `shipment` */
  readonly earlier?: readonly string[]
  readonly bad: string
  readonly good: string
  readonly majors?: readonly number[]
  /** What the proposed SQL is run after, where it leaves the statement to be mended by hand. */
  readonly addedTo?: string
}

export const SHIPMENT =
  'create table shipment (tenant_id uuid not null, id bigint not null, status text, weight integer, code varchar(10), primary key (tenant_id, id));'
const CARRIER = 'create table carrier (tenant_id uuid not null, id bigint not null, primary key (tenant_id, id));'
const PARTED =
  'create table event (tenant_id uuid not null, id bigint not null, at date not null, primary key (tenant_id, id, at)) partition by range (at);\n' +
  "create table event_1 partition of event for values from ('2026-01-01') to ('2027-01-01');"
const PORT = '-- rowhouse: reference port\ncreate table port (id text primary key, name text);'
const ENUM =
  "create type mode as enum ('sea');\ncreate table leg (tenant_id uuid not null, id bigint not null, mode mode, primary key (tenant_id, id));"
const TENANT = '01890000-0000-7000-8000-000000000001'

export const LINT_FIXTURES: readonly LintFixture[] = [
  {
    rule: 'M01',
    bad: 'alter table shipment drop column status;',
    good: '-- rowhouse: phase contract\nalter table shipment drop column status;',
  },
  {
    rule: 'M01',
    bad: '-- rowhouse: phase expand\nalter table shipment drop column status;',
    good: 'create table a (tenant_id uuid not null, id int, x int, primary key (tenant_id, id)); alter table a drop column x;',
  },
  { rule: 'M02', bad: 'drop table shipment;', good: '-- rowhouse: phase contract\ndrop table shipment;' },
  {
    rule: 'M03',
    bad: 'alter table shipment rename column status to state;',
    good: 'alter table shipment rename constraint shipment_pkey to shipment_key;',
  },
  {
    rule: 'M03',
    bad: 'alter table shipment rename to consignment;',
    good: `${CARRIER} alter table carrier rename to haulier;`,
  },
  {
    rule: 'M03',
    earlier: [ENUM],
    bad: "alter type mode rename value 'sea' to 'ocean';",
    good: "alter type mode add value 'air';",
  },
  {
    rule: 'M04',
    bad: 'alter table shipment alter column weight type bigint;',
    good: 'alter table shipment alter column code type varchar(20);',
  },
  {
    rule: 'M04',
    bad: 'alter table shipment alter column code type varchar(5);',
    good: 'alter table shipment alter column code type text;',
  },
  {
    rule: 'M05',
    bad: 'alter table shipment add column eta date not null;',
    good: "alter table shipment add column mode text not null default 'sea';",
  },
  {
    rule: 'M06',
    earlier: [SHIPMENT, "alter table shipment alter column status set default 'new';"],
    bad: 'alter table shipment alter column status drop default;',
    good: '-- rowhouse: phase contract\nalter table shipment alter column status drop default;',
  },
  {
    rule: 'M07',
    earlier: [ENUM],
    bad: "alter type mode add value 'air';\nupdate leg set mode = 'air' where id in (select id from leg limit 100);",
    good: "alter type mode add value 'air';",
  },
  {
    rule: 'M08',
    bad: 'truncate shipment;',
    good: '-- rowhouse: no-transaction\ndelete from shipment where ctid = any (array(select ctid from shipment limit 10));',
  },
  {
    rule: 'M09',
    bad: "update shipment set status = 'booked', weight = coalesce(weight, 0) where status = 'new';",
    good: "update shipment set status = 'x' where ctid = any (array(select ctid from shipment limit 10));",
  },
  {
    rule: 'M09',
    bad: "delete from shipment where status = 'void';",
    good: `${CARRIER} update carrier set id = id + 1;`,
  },
  {
    rule: 'M10',
    bad: 'create index on shipment (tenant_id, status);',
    good: 'create index concurrently shipment_status on shipment (tenant_id, status);',
  },
  {
    rule: 'M10',
    bad: 'create unique index if not exists "Odd name" on shipment using btree (tenant_id, (lower(status))) where weight > 0;',
    good: `${CARRIER} create index on carrier (tenant_id, id);`,
  },
  {
    rule: 'M10',
    bad: 'create index shipment_status on shipment (tenant_id, status);',
    earlier: [SHIPMENT, PARTED],
    good: 'create index event_at on event (tenant_id, at);',
  },
  {
    rule: 'M11',
    earlier: [SHIPMENT, 'create index concurrently i on shipment (tenant_id, weight);'],
    bad: 'drop index i;',
    good: 'drop index concurrently i;',
  },
  { rule: 'M12', bad: 'reindex index shipment_pkey;', good: 'reindex index concurrently shipment_pkey;' },
  { rule: 'M12', bad: 'reindex table shipment;', good: 'reindex table concurrently shipment;' },
  {
    rule: 'M13',
    earlier: [
      SHIPMENT,
      'alter table shipment add constraint weighed check (weight is not null) not valid;',
      'alter table shipment validate constraint weighed;',
    ],
    bad: 'alter table shipment alter column status set not null;',
    good: 'alter table shipment alter column weight set not null, drop constraint weighed;',
  },
  {
    rule: 'M14',
    bad: 'alter table shipment add column token uuid not null default gen_random_uuid();',
    good: 'alter table shipment add column made timestamptz not null default now();',
  },
  {
    rule: 'M14',
    bad: 'alter table shipment add column line bigint generated always as identity;',
    good: 'alter table shipment add column line bigint default 0;',
  },
  {
    rule: 'M14',
    bad: 'alter table shipment add column double integer generated always as (weight * 2) stored;',
    good: 'alter table shipment add column double integer;',
  },
  {
    rule: 'M15',
    earlier: [SHIPMENT, CARRIER, 'alter table shipment add column carrier_id bigint;'],
    bad: 'alter table shipment add foreign key (tenant_id, carrier_id) references carrier (tenant_id, id), add column note text;',
    good: 'alter table shipment add foreign key (tenant_id, carrier_id) references carrier (tenant_id, id) not valid;',
  },
  {
    rule: 'M16',
    bad: 'alter table shipment add constraint heavy check (weight > 0), add column note text;',
    good: 'alter table shipment add constraint heavy check (weight > 0) not valid;',
  },
  {
    rule: 'M16',
    earlier: ['create domain kilos as integer;'],
    bad: 'alter domain kilos add constraint heavy check (value > 0);',
    good: 'alter domain kilos add constraint heavy check (value > 0) not valid;',
  },
  {
    rule: 'M17',
    earlier: [SHIPMENT, 'alter table shipment add constraint light check (weight < 9) not valid;'],
    bad: 'alter table shipment add constraint heavy check (weight > 0) not valid; alter table shipment validate constraint heavy;',
    good: 'alter table shipment validate constraint light;',
  },
  {
    rule: 'M18',
    bad: 'alter table shipment add constraint by_code unique (tenant_id, code);',
    earlier: [SHIPMENT, 'create unique index concurrently u on shipment (tenant_id, code);'],
    good: 'alter table shipment add constraint u unique using index u;',
  },
  {
    rule: 'M18',
    earlier: ['create table bare (tenant_id uuid not null, id bigint not null);'],
    bad: 'alter table bare add primary key (tenant_id, id);',
    good: `${CARRIER} alter table carrier add unique (tenant_id, id);`,
  },
  { rule: 'M19', bad: 'lock table shipment in exclusive mode;', good: `${CARRIER} lock table carrier;` },
  { rule: 'M20', bad: 'vacuum (full) shipment;', good: 'vacuum shipment;' },
  { rule: 'M20', bad: 'cluster shipment using shipment_pkey;', good: 'alter table shipment set (fillfactor = 80);' },
  {
    rule: 'M21',
    earlier: [SHIPMENT, CARRIER],
    bad: 'alter table shipment add column a int; alter table carrier add column b int;',
    good: 'alter table shipment add column a int; alter table shipment add column b int;',
  },
  {
    rule: 'M22',
    earlier: [PARTED],
    bad: 'alter table event detach partition event_1;',
    good: 'alter table event detach partition event_1 concurrently;',
  },
  {
    rule: 'M23',
    bad: 'create index concurrently i on shipment (tenant_id, status);',
    good: 'create index concurrently if not exists i on shipment (tenant_id, status);',
  },
  {
    rule: 'M23',
    earlier: [SHIPMENT, 'create index concurrently i on shipment (tenant_id, weight);'],
    bad: 'drop index concurrently i;',
    good: 'drop index concurrently if exists i;',
  },
  {
    rule: 'M24',
    bad: '-- rowhouse: phase contract\ndrop table shipment cascade;',
    good: '-- rowhouse: phase contract\ndrop table shipment;',
  },
  {
    rule: 'M25',
    bad: `alter table shipment add column ${'a'.repeat(64)} int;`,
    good: `alter table shipment add column ${'a'.repeat(63)} int;`,
  },
  {
    rule: 'M27',
    bad: 'alter table shipment alter column status set default uuidv7()::text;',
    good: 'alter table shipment alter column status set default rowhouse.uuidv7()::text;',
  },
  {
    rule: 'M27',
    bad: 'alter table shipment add column b integer generated always as (weight * 2) virtual;',
    good: 'alter table shipment add column b integer;',
    majors: [17, 18],
  },
  {
    rule: 'M28',
    earlier: [PARTED],
    bad: 'create index concurrently i on event (tenant_id, at);',
    good: 'create index i on only event (tenant_id, at);',
  },
  { rule: 'M29', bad: 'do $$ begin null; end $$;', good: '-- rowhouse: no-transaction\ndo $$ begin null; end $$;' },
  {
    rule: 'M30',
    bad: 'create table leg (id bigint, note text, primary key (id));',
    good: 'create table leg (tenant_id uuid not null, id bigint, primary key (tenant_id, id));',
  },
  { rule: 'M30', bad: 'create table leg (tenant_id uuid, id bigint);', good: PORT },
  {
    rule: 'M30',
    bad: 'create table leg (tenant_id text not null, id bigint);',
    good: 'create table leg (tenant_id uuid, id bigint, primary key (tenant_id, id));',
  },
  { rule: 'M31', bad: 'create table leg (tenant_id uuid not null, id bigint primary key);', good: CARRIER },
  {
    rule: 'M31',
    bad: 'create table leg (tenant_id uuid not null, id bigint, code text, primary key (tenant_id, id), constraint one_code unique (code));',
    good: 'create table leg (tenant_id uuid not null, id bigint, code text, primary key (tenant_id, id), unique (tenant_id, code));',
  },
  {
    rule: 'M31',
    bad: 'create unique index concurrently u on shipment (lower(code));',
    good: 'create unique index concurrently u on shipment (tenant_id, lower(code));',
  },
  {
    rule: 'M31',
    bad: 'alter table shipment add constraint c unique (code);',
    good: 'alter table shipment add constraint c unique (tenant_id, code);',
  },
  {
    rule: 'M32',
    bad: 'create table leg (tenant_id uuid not null, id bigint);',
    good: 'create table leg (tenant_id uuid not null, id bigint); alter table leg add primary key (tenant_id, id);',
  },
  {
    rule: 'M33',
    earlier: [SHIPMENT, CARRIER, 'alter table shipment add column carrier_id bigint;'],
    bad: 'alter table shipment add constraint carried foreign key (carrier_id) references carrier (id) on delete set null;',
    good: 'alter table shipment add constraint carried foreign key (tenant_id, carrier_id) references carrier not valid;',
  },
  {
    rule: 'M33',
    earlier: [SHIPMENT, PORT],
    bad: 'alter table shipment add column other bigint references shipment (id);',
    good: 'alter table shipment add column port_id text references port (id);',
  },
  {
    rule: 'M34',
    bad: 'create index concurrently i on shipment (status);',
    good: 'create index concurrently i on shipment (tenant_id, status);',
  },
  { rule: 'M35', bad: 'grant select on shipment to rowhouse_app;', good: "select rowhouse.protect('shipment');" },
  {
    rule: 'M35',
    bad: 'alter table shipment enable row level security;',
    good: 'alter table shipment add column x int;',
  },
  { rule: 'M35', bad: 'create policy open on shipment using (true);', good: 'alter table shipment add column x int;' },
  { rule: 'M35', bad: 'alter table shipment owner to rowhouse_owner;', good: 'alter table shipment add column x int;' },
  {
    rule: 'M36',
    bad: 'create function f() returns int language sql security definer as $$ select 1 $$;',
    good: 'create function f() returns int language sql security definer set search_path = pg_catalog, pg_temp as $$ select 1 $$;',
  },
  {
    rule: 'M37',
    bad: 'create view booked as select tenant_id, id from shipment;',
    good: 'create view booked with (security_invoker = true) as select tenant_id, id from shipment;',
  },
  {
    rule: 'M37',
    bad: 'create or replace view booked with (security_invoker = false) as select 1 as a;',
    good: 'create view booked with (security_invoker) as select 1 as a;',
  },
  {
    rule: 'M38',
    bad: 'create materialized view totals as select count(*) from shipment;',
    good: 'create table totals (tenant_id uuid not null, at date, total bigint, primary key (tenant_id, at));',
  },
  {
    rule: 'M39',
    bad: `update shipment set status = 'x' where tenant_id = '${TENANT}' and id in (select 1 limit 1);`,
    good: "update shipment set status = 'x' where tenant_id = rowhouse.current_tenant_id() and id in (select 1 limit 1);",
  },
  {
    rule: 'M39',
    bad: `insert into shipment (tenant_id, id) select '${TENANT}', 1;`,
    good: `insert into shipment (tenant_id, id) select gen_random_uuid(), 1;`,
  },
  { rule: 'M40', bad: 'alter table shipment disable trigger all;', good: 'alter table shipment enable trigger all;' },
  { rule: 'M40', bad: 'set session_replication_role = replica;', good: "set local work_mem = '64MB';" },
  { rule: 'M41', bad: "set lock_timeout = '1h';", good: "set local work_mem = '64MB';" },
  { rule: 'M41', bad: 'set role rowhouse_owner;', good: "set local work_mem = '64MB';" },
  { rule: 'M41', bad: "set work_mem = '64MB';", good: "set local work_mem = '64MB';" },
  {
    rule: 'M42',
    earlier: [SHIPMENT, PORT],
    bad: "insert into shipment (id, status) values (1, 'new');",
    good: "insert into port values ('AEDXB', 'Dubai');",
  },
  {
    rule: 'M43',
    bad: 'create table leg (tenant_id uuid not null, id bigserial, primary key (tenant_id, id));',
    good: 'create table leg (tenant_id uuid not null, id bigint generated always as identity, primary key (tenant_id, id));',
  },
  {
    rule: 'M44',
    bad: 'create unlogged table leg (tenant_id uuid not null, id bigint, primary key (tenant_id, id));',
    good: 'create table leg (tenant_id uuid not null, id bigint, scan bytea, primary key (tenant_id, id));',
  },
  {
    rule: 'M44',
    bad: 'create table leg as select * from shipment;',
    good: 'create temporary table leg as select * from shipment;',
  },
  {
    rule: 'M44',
    bad: 'alter table shipment add column scan oid;',
    good: 'alter table shipment add column scan bytea;',
  },
  { rule: 'M44', bad: 'alter table shipment replica identity full;', good: 'alter table shipment add column x int;' },
  { rule: 'M46', bad: 'drop extension pgcrypto;', good: 'alter table shipment add column x int;' },
  // A second table at once: the reference of this very file, a name in quotes, a foreign key at a column of a new table.
  {
    rule: 'M33',
    bad: 'create table "Leg" (tenant_id uuid not null, id bigint, shipment_id bigint references shipment (id), primary key (tenant_id, id));',
    good: '-- rowhouse: reference port\ncreate table port (id text primary key); create table leg (tenant_id uuid not null, id bigint, port_id text references port, primary key (tenant_id, id));',
    addedTo:
      'create table "Leg" (tenant_id uuid not null, id bigint, shipment_id bigint, primary key (tenant_id, id));',
  },
  {
    rule: 'M18',
    bad: 'alter table shipment add constraint no_two exclude (tenant_id with =, code with =);',
    earlier: ['create extension if not exists btree_gist schema public;', SHIPMENT],
    good: 'alter table shipment add column x int;',
  },
  {
    rule: 'M31',
    bad: 'create table leg (tenant_id uuid not null, id bigint, primary key (tenant_id, id), exclude using gist (id with =));',
    earlier: ['create extension if not exists btree_gist schema public;'],
    good: 'create table leg (tenant_id uuid not null, id bigint, primary key (tenant_id, id), exclude using gist (tenant_id with =, id with =));',
  },
  {
    rule: 'M14',
    bad: 'alter table shipment add column n bigserial;',
    good: 'alter table shipment add column n bigint;',
  },
  {
    rule: 'M14',
    bad: "alter table shipment add column ref text not null default concat('x-', clock_timestamp()), add column b int;",
    good: "alter table shipment add column ref text not null default concat('x-', now());",
  },
  { rule: 'M20', bad: 'alter table shipment set unlogged;', good: 'alter table shipment set (fillfactor = 80);' },
  {
    rule: 'M04',
    bad: 'alter table shipment alter column status type date using status::date;',
    good: 'alter table shipment alter column code type varchar;',
  },
  {
    rule: 'M06',
    earlier: [
      SHIPMENT,
      'create table due (tenant_id uuid not null, id bigint, at date not null, primary key (tenant_id, id));',
    ],
    bad: 'alter table due alter column at drop not null;',
    good: '-- rowhouse: phase contract\nalter table due alter column at drop not null;',
  },
  { rule: 'M45', bad: 'create extension pg_trgm;', good: 'create extension if not exists pg_trgm schema public;' },
  { rule: 'M46', bad: "alter system set work_mem = '64MB';", good: 'alter table shipment add column x int;' },
  { rule: 'M46', bad: 'create publication p for all tables;', good: 'alter table shipment add column x int;' },
  {
    rule: 'M49',
    bad: '-- rowhouse: allow M10 small table\nalter table shipment add column x int;',
    good: '-- rowhouse: allow M10 small table\ncreate index on shipment (tenant_id, code);',
  },
]
