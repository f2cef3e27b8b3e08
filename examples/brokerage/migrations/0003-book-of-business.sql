-- A broker's book: clients, what was offered to them, what is in force, and what insurers owe for it.

create table client (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  -- The broker's own number of the client: what a book that is imported again is compared by.
  reference text not null,
  name text not null,
  kind text not null check (kind in ('business', 'private')),
  city text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, reference)
);
create index client_name_idx on client (tenant_id, name);

create table quote (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  number text not null,
  client_id uuid not null,
  carrier_code text not null references carrier (code),
  line_code text not null references line (code),
  premium numeric(14, 2) not null check (premium > 0),
  status text not null default 'open' check (status in ('open', 'bound', 'declined')),
  valid_until date not null,
  created_at timestamptz not null default now(),
  created_by text default rowhouse.current_actor(),
  primary key (tenant_id, id),
  unique (tenant_id, number),
  foreign key (tenant_id, client_id) references client (tenant_id, id)
);
create index quote_status_idx on quote (tenant_id, status, created_at);
create index quote_client_idx on quote (tenant_id, client_id);

create table policy (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  number text not null,
  client_id uuid not null,
  quote_id uuid,
  carrier_code text not null references carrier (code),
  line_code text not null references line (code),
  premium numeric(14, 2) not null check (premium > 0),
  status text not null default 'in_force' check (status in ('in_force', 'lapsed', 'cancelled')),
  starts_on date not null,
  ends_on date not null check (ends_on > starts_on),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, number),
  foreign key (tenant_id, client_id) references client (tenant_id, id),
  foreign key (tenant_id, quote_id) references quote (tenant_id, id)
);
create index policy_status_idx on policy (tenant_id, status, ends_on);
create index policy_client_idx on policy (tenant_id, client_id);
create index policy_starts_on_idx on policy (tenant_id, starts_on);
create unique index policy_quote_idx on policy (tenant_id, quote_id) where quote_id is not null;

-- The percentage is copied from the insurer's terms when the policy is written: new terms change no old statement.
create table commission (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  policy_id uuid not null,
  carrier_code text not null references carrier (code),
  kind text not null check (kind in ('new', 'renewal')),
  -- First day of the month it is due in.
  month date not null check (extract(day from month) = 1),
  premium numeric(14, 2) not null,
  percent numeric(5, 2) not null check (percent between 0 and 40),
  amount numeric(14, 2) generated always as (round(premium * percent / 100, 2)) stored,
  received_on date,
  primary key (tenant_id, id),
  unique (tenant_id, policy_id, kind, month),
  foreign key (tenant_id, policy_id) references policy (tenant_id, id)
);
create index commission_month_idx on commission (tenant_id, month, carrier_code);

create table document (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  policy_id uuid not null,
  kind text not null check (kind in ('schedule', 'certificate', 'debit note')),
  name text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, policy_id, kind),
  foreign key (tenant_id, policy_id) references policy (tenant_id, id)
);
