--! freight schema 1: a forwarding company's offers, shipments, papers and money
--
-- Runs as rowhouse_owner, in one transaction. Every tenant table carries tenant_id, and every key, foreign key and
-- index starts with it; `protect` refuses the table otherwise. A branch is a unit: rows of a branch carry its id as
-- `unit_id`, and children repeat it in their foreign key, so that a row cannot hang below another branch's shipment.
--
-- Ids are UUIDs in order of time, not numbers from a sequence: a sequence would be shared by all tenants and would
-- tell one how much the others ship. The numbers people see are counted per tenant in `counter`.

-- The ports of the world by UN/LOCODE. All tenants read them, none writes them.
-- rowhouse: reference port
create table port (
  code text primary key check (code ~ '^[A-Z]{2}[A-Z0-9]{3}$'),
  name text not null,
  country text not null,
  latitude double precision not null,
  longitude double precision not null
);

create table branch (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  code text not null check (code ~ '^[A-Z]{3}$'),
  name text not null,
  port_code text not null references port (code),
  primary key (tenant_id, id),
  unique (tenant_id, code)
);

-- A director belongs to no branch and sees all of them; everybody else belongs to one and sees that one.
create table app_user (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  branch_id uuid,
  role text not null check (role in ('director', 'manager', 'clerk')),
  name text not null,
  email text not null,
  primary key (tenant_id, id),
  unique (tenant_id, email),
  foreign key (tenant_id, branch_id) references branch (tenant_id, id),
  check ((role = 'director') = (branch_id is null))
);
create index app_user_branch_idx on app_user (tenant_id, branch_id);

-- What makes a tenant's system its own: name, colour, currency, VAT, formats of numbers.
create table setting (
  tenant_id uuid not null,
  key text not null check (key ~ '^[a-z][a-z0-9_.]{0,62}$'),
  value jsonb not null,
  primary key (tenant_id, key)
);

-- Last number given out, by kind of document and year. Counting in a row makes numbers without gaps.
create table counter (
  tenant_id uuid not null,
  kind text not null check (kind in ('shipment', 'quote', 'invoice', 'awb')),
  period text not null,
  value bigint not null check (value > 0),
  primary key (tenant_id, kind, period)
);

create table customer (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  code text not null,
  name text not null,
  country text not null,
  credit_days smallint not null default 30 check (credit_days between 0 and 180),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, code)
);
create index customer_name_idx on customer (tenant_id, name);

create table rate (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  mode text not null check (mode in ('sea', 'air', 'road')),
  origin text not null references port (code),
  destination text not null references port (code),
  per_kg numeric(10, 4) not null check (per_kg > 0),
  valid_from date not null,
  valid_to date not null check (valid_to >= valid_from),
  primary key (tenant_id, id)
);
create index rate_lane_idx on rate (tenant_id, mode, origin, destination, valid_from);

create table quote (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  unit_id uuid not null,
  number text not null,
  customer_id uuid not null,
  mode text not null check (mode in ('sea', 'air', 'road')),
  origin text not null references port (code),
  destination text not null references port (code),
  amount numeric(14, 2) not null check (amount >= 0),
  status text not null check (status in ('open', 'won', 'lost', 'expired')),
  valid_until date not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, unit_id, id),
  unique (tenant_id, number),
  foreign key (tenant_id, unit_id) references branch (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id)
);
create index quote_status_idx on quote (tenant_id, status);
create index quote_created_at_idx on quote (tenant_id, created_at);
create index quote_customer_idx on quote (tenant_id, customer_id);

create table shipment (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  unit_id uuid not null,
  number text not null,
  customer_id uuid not null,
  quote_id uuid,
  mode text not null check (mode in ('sea', 'air', 'road')),
  status text not null check (status in ('booked', 'in_transit', 'customs', 'delivered', 'cancelled')),
  origin text not null references port (code),
  destination text not null references port (code),
  awb text,
  goods text not null,
  packages integer not null check (packages > 0),
  weight_kg integer not null check (weight_kg > 0),
  freight numeric(14, 2) not null check (freight >= 0),
  eta date not null,
  created_at timestamptz not null default now(),
  created_by text default rowhouse.current_actor(),
  primary key (tenant_id, id),
  unique (tenant_id, unit_id, id),
  unique (tenant_id, number),
  foreign key (tenant_id, unit_id) references branch (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, unit_id, quote_id) references quote (tenant_id, unit_id, id),
  check (origin <> destination),
  check (awb is null or mode = 'air')
);
create index shipment_status_idx on shipment (tenant_id, status, created_at);
create index shipment_created_at_idx on shipment (tenant_id, created_at);
create index shipment_unit_idx on shipment (tenant_id, unit_id, created_at);
create index shipment_customer_idx on shipment (tenant_id, customer_id);
create index shipment_quote_idx on shipment (tenant_id, unit_id, quote_id);
create unique index shipment_awb_idx on shipment (tenant_id, awb) where awb is not null;

create table container (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  unit_id uuid not null,
  shipment_id uuid not null,
  number text not null check (number ~ '^[A-Z]{4}[0-9]{7}$'),
  kind text not null check (kind in ('20GP', '40GP', '40HC', '40RF')),
  seal_number text not null,
  gross_kg integer not null check (gross_kg > 0),
  primary key (tenant_id, id),
  foreign key (tenant_id, unit_id, shipment_id) references shipment (tenant_id, unit_id, id)
);
create index container_shipment_idx on container (tenant_id, unit_id, shipment_id);
create index container_number_idx on container (tenant_id, number);

create table leg (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  unit_id uuid not null,
  shipment_id uuid not null,
  position smallint not null check (position > 0),
  mode text not null check (mode in ('sea', 'air', 'road')),
  origin text not null references port (code),
  destination text not null references port (code),
  carrier text not null,
  departs_at timestamptz not null,
  arrives_at timestamptz not null check (arrives_at > departs_at),
  primary key (tenant_id, id),
  unique (tenant_id, unit_id, shipment_id, position),
  foreign key (tenant_id, unit_id, shipment_id) references shipment (tenant_id, unit_id, id)
);

create table document (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  unit_id uuid not null,
  shipment_id uuid not null,
  kind text not null check (kind in ('air waybill', 'bill of lading', 'packing list', 'customs declaration')),
  number text not null,
  issued_at timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, unit_id, shipment_id) references shipment (tenant_id, unit_id, id)
);
create index document_shipment_idx on document (tenant_id, unit_id, shipment_id);

-- The VAT rate is copied from the tenant's settings when the invoice is written: a new rate changes no old invoice.
create table invoice (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  unit_id uuid not null,
  shipment_id uuid not null,
  customer_id uuid not null,
  number text not null,
  status text not null check (status in ('open', 'paid', 'overdue')),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  net numeric(14, 2) not null check (net >= 0),
  vat_rate numeric(5, 2) not null check (vat_rate between 0 and 100),
  vat numeric(14, 2) generated always as (round(net * vat_rate / 100, 2)) stored,
  total numeric(14, 2) generated always as (net + round(net * vat_rate / 100, 2)) stored,
  issued_at timestamptz not null default now(),
  due_on date not null,
  primary key (tenant_id, id),
  unique (tenant_id, unit_id, id),
  unique (tenant_id, number),
  foreign key (tenant_id, unit_id, shipment_id) references shipment (tenant_id, unit_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id)
);
create index invoice_status_idx on invoice (tenant_id, status, issued_at);
create index invoice_issued_at_idx on invoice (tenant_id, issued_at);
create index invoice_customer_idx on invoice (tenant_id, customer_id);
create index invoice_shipment_idx on invoice (tenant_id, unit_id, shipment_id);

create table invoice_line (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  unit_id uuid not null,
  invoice_id uuid not null,
  position smallint not null check (position > 0),
  description text not null,
  net numeric(14, 2) not null check (net >= 0),
  primary key (tenant_id, id),
  unique (tenant_id, unit_id, invoice_id, position),
  foreign key (tenant_id, unit_id, invoice_id) references invoice (tenant_id, unit_id, id)
);

-- Tracking. Named after what happened, in the order it happened.
create table event (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  unit_id uuid not null,
  shipment_id uuid not null,
  kind text not null check (kind in ('booked', 'departed', 'arrived', 'customs', 'delivered', 'cancelled', 'note')),
  place text not null,
  at timestamptz not null default now(),
  actor text default rowhouse.current_actor(),
  primary key (tenant_id, id),
  foreign key (tenant_id, unit_id, shipment_id) references shipment (tenant_id, unit_id, id)
);
create index event_shipment_idx on event (tenant_id, unit_id, shipment_id, at);
