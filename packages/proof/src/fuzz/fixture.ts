/** The tenants of a run. The first acts; the others must not notice. Ids are fixed, so that statements can name them. */
export const TENANTS = [
  { id: '0a000000-0000-4000-8000-00000000000a', slug: 'fuzz-a', mark: 'qzxa' },
  { id: '0b000000-0000-4000-8000-00000000000b', slug: 'fuzz-b', mark: 'qzxb' },
  { id: '0c000000-0000-4000-8000-00000000000c', slug: 'fuzz-c', mark: 'qzxc' },
] as const

export const ACTING = TENANTS[0]
export const OTHERS = TENANTS.slice(1)

/** Every tenant has rows in the same three units, by the same ids: a unit is no substitute for a tenant. */
export const UNITS = [
  '00000000-0000-4000-8000-000000000001',
  '00000000-0000-4000-8000-000000000002',
  '00000000-0000-4000-8000-000000000003',
] as const

/** What a context limited to units may see. */
export const OWN_UNITS = UNITS.slice(0, 2)

export type SqlType = 'int' | 'text' | 'num' | 'bool' | 'uuid' | 'json' | 'tags' | 'tier' | 'status'

export interface Column {
  readonly name: string
  readonly type: SqlType
}

export interface Relation {
  readonly name: string
  readonly columns: readonly Column[]
  /** Columns that tell the rows of one tenant (and unit) apart. */
  readonly key: readonly string[]
  /** Columns an INSERT may name and an UPDATE may set, in addition to the key. */
  readonly writable: readonly string[]
  readonly unitScope: boolean
}

function relation(name: string, columns: string, key: string, writable: string, unitScope = false): Relation {
  const parsed = columns.split(' ').map((column) => {
    const [columnName = '', type = 'text'] = column.split(':')
    return { name: columnName, type: type as SqlType }
  })
  const split = (text: string) => (text === '' ? [] : text.split(' '))
  return { name, columns: parsed, key: split(key), writable: split(writable), unitScope }
}

const EVENT = 'tenant_id:uuid id:int shipment_id:int kind:text payload:json'
const LEDGER = 'tenant_id:uuid id:int serial:int label:text amount:num'

export const TABLES: readonly Relation[] = [
  relation(
    'customer',
    'tenant_id:uuid id:int name:text tier:tier score:int tags:tags meta:json parent_id:int',
    'id',
    'name tier score tags meta parent_id',
  ),
  relation(
    'shipment',
    'tenant_id:uuid id:int customer_id:int port_code:text status:status weight:num heavy:bool remark:text',
    'id',
    'customer_id port_code status weight remark',
  ),
  relation(
    'line',
    'tenant_id:uuid shipment_id:int position:int label:text qty:int',
    'shipment_id position',
    'label qty',
  ),
  relation('event', EVENT, 'id', 'shipment_id kind payload'),
  relation('ledger', LEDGER, 'id', 'serial label amount'),
  relation('note', 'tenant_id:uuid unit_id:uuid id:int body:text stars:int', 'unit_id id', 'body stars', true),
  relation(
    'attachment',
    'tenant_id:uuid unit_id:uuid id:int note_id:int name:text bytes:int',
    'unit_id id',
    'note_id name bytes',
    true,
  ),
]

/** Other names for the same rows: partitions, views, and the reference table. */
export const READABLE: readonly Relation[] = [
  ...TABLES,
  relation('event_low', EVENT, 'id', ''),
  relation('event_high', EVENT, 'id', ''),
  relation('port', 'code:text name:text rank:int', 'code', ''),
  relation('shipment_overview', 'id:int customer:text tier:tier status:status weight:num lines:int', 'id', ''),
  relation('open_ledger', LEDGER, 'id', ''),
]

/** Partitions and an updatable view take writes too. */
export const WRITABLE: readonly Relation[] = [
  ...TABLES,
  relation('event_low', EVENT, 'id', 'shipment_id kind payload'),
  relation('open_ledger', LEDGER, 'id', 'serial label amount'),
]

/** Tables with rows of tenants, partitions left to their parent, parents of foreign keys first. */
export const STORED = ['customer', 'shipment', 'line', 'event', 'ledger', 'note', 'attachment'] as const

export const SCHEMA = `
  create type tier as enum ('free', 'plus', 'max');
  create type status as enum ('booked', 'sailing', 'landed');
  create table port (code text primary key, name text not null, rank integer not null);
  insert into port select 'P' || n, 'Port ' || n, n * 3 % 7 from generate_series(1, 6) n;
  create table customer (
    tenant_id uuid not null, id integer not null, name text not null, tier tier not null default 'free',
    score integer not null default 0, tags text[] not null default '{}', meta jsonb not null default '{}', parent_id integer,
    primary key (tenant_id, id), unique (tenant_id, name),
    foreign key (tenant_id, parent_id) references customer on delete set null (parent_id));
  create table shipment (
    tenant_id uuid not null, id integer not null, customer_id integer not null, port_code text references port,
    status status not null default 'booked', weight numeric(8, 2) not null default 1,
    heavy boolean generated always as (weight > 50) stored, remark text,
    primary key (tenant_id, id), foreign key (tenant_id, customer_id) references customer on delete cascade);
  create table line (
    tenant_id uuid not null, shipment_id integer not null, position integer not null, label text, qty integer check (qty < 100000),
    primary key (tenant_id, shipment_id, position),
    foreign key (tenant_id, shipment_id) references shipment on delete cascade);
  create table event (
    tenant_id uuid not null, id integer not null, shipment_id integer, kind text not null default 'made', payload jsonb,
    primary key (tenant_id, id)) partition by range (id);
  create table event_low partition of event for values from (minvalue) to (13);
  create table event_high partition of event for values from (13) to (maxvalue);
  create table ledger (
    tenant_id uuid not null, id integer not null, serial integer not null, label text not null default '',
    amount numeric(10, 2) not null default 0 check (amount > -100000),
    primary key (tenant_id, id), unique (tenant_id, serial));
  create table note (
    tenant_id uuid not null, unit_id uuid not null, id integer not null, body text, stars integer default 0,
    primary key (tenant_id, unit_id, id));
  create table attachment (
    tenant_id uuid not null, unit_id uuid not null, id integer not null, note_id integer, name text, bytes integer,
    primary key (tenant_id, unit_id, id),
    foreign key (tenant_id, unit_id, note_id) references note on delete cascade);
  create view shipment_overview with (security_invoker = true) as
    select s.id, c.name as customer, c.tier, s.status, s.weight,
           (select count(*)::integer from line l where l.shipment_id = s.id) as lines
      from shipment s join customer c on c.id = s.customer_id;
  create view open_ledger with (security_invoker = true) as
    select tenant_id, id, serial, label, amount from ledger where amount >= 0 with check option;
  create function shipments_of(customer integer) returns setof shipment language sql stable
    as 'select s.* from shipment s where s.customer_id = $1';
  create function label_of(entry integer) returns text language plpgsql stable
    as 'begin return (select max(l.label) from ledger l where l.id = entry); end';
  -- The cheapest condition there is, and it talks: the classic way to see a row before the policy rejects it.
  create function trap(value text, pattern text) returns boolean language plpgsql cost 0.0000001 as $$
    begin
      if value like pattern then raise exception 'trap: %', value using errcode = 'RHF02'; end if;
      return true;
    end $$;
  create function echo(value text) returns boolean language plpgsql cost 0.0000001
    as $$ begin raise notice 'echo: %', value; return true; end $$;`

/** Run after the tables are filled and protected; the views are the application's. */
export const VIEW_GRANTS = `
  alter view shipment_overview owner to rowhouse_owner; alter view open_ledger owner to rowhouse_owner;
  grant select on shipment_overview to rowhouse_app;
  grant select, insert, delete, update (id, serial, label, amount) on open_ledger to rowhouse_app;
  grant execute on function shipments_of(integer), label_of(integer), trap(text, text), echo(text) to rowhouse_app;`

/** Which rows a database holds: of which tenants, and of which units in tables with unit scope. */
export interface Population {
  readonly tenants: readonly { readonly id: string; readonly mark: string }[]
  readonly units: readonly string[]
}

/**
 * Returns the SQL that fills the tables, row by row over all tenants, so that the acting tenant's rows lie in the same
 * order whoever else is there.
 */
export function populationSql({ tenants, units }: Population): string {
  const people = TENANTS.filter(({ id }) => tenants.some((tenant) => tenant.id === id))
    .map(({ id, mark }) => `('${id}'::uuid, '${mark}', ${TENANTS.findIndex((tenant) => tenant.id === id)})`)
    .join(', ')
  const rows = (count: number) =>
    `from generate_series(1, ${count}) n, (values ${people}) t (id, mark, k) order by n, k`
  const places = `(values ${UNITS.map((unit, index) => `('${unit}'::uuid, ${index})`).join(', ')}) u (id, j)`
  const scoped = (count: number) =>
    `from generate_series(1, ${count}) n, (values ${people}) t (id, mark, k), ${places}
      where u.id = any ('{${units.join(',')}}'::uuid[]) order by n, k, j`
  return `
    insert into customer select t.id, n, mark || '-name-' || n, (enum_range(null::tier))[1 + (n + k) % 3], (n * 7 + k * 13) % 40,
      array['tag' || n % 3, mark || '-tag-' || (n + k) % 4], jsonb_build_object('n', n * (k + 1) % 17, 'secret', mark || '-meta-' || n),
      nullif(n / 2, 0) ${rows(12)};
    insert into shipment (tenant_id, id, customer_id, port_code, status, weight, remark)
      select t.id, n, 1 + (n + k) % 12, 'P' || 1 + n % 6, (enum_range(null::status))[1 + (n * (k + 1)) % 3], (n * 11 + k * 5) % 90,
      case when n % 5 > 0 then mark || '-remark-' || n end ${rows(24)};
    insert into line select t.id, 1 + n % 20, n, mark || '-line-' || n, (n * 3 + k) % 25 ${rows(30)};
    insert into event select t.id, n, 1 + (n * 5 + k) % 24, mark || '-kind-' || n % 4,
      jsonb_build_object('at', n, 'who', mark || '-who-' || n, 'path', jsonb_build_array(n, mark)) ${rows(24)};
    insert into ledger select t.id, n, n + 100 * k, mark || '-label-' || n, ((n * 37 + k * 11) % 100 - 30)::numeric ${rows(16)};
    insert into note select t.id, u.id, n, mark || '-body-' || n || '-' || j, (n + j + k) % 6 ${scoped(7)};
    insert into attachment select t.id, u.id, n, 1 + (n + k) % 7, mark || '-file-' || n || '-' || j, n * 10 + j ${scoped(5)};`
}
