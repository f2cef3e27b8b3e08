-- Who works at a broker's, and what makes a broker's system its own.

create table member (
  tenant_id uuid not null,
  id uuid not null default rowhouse.uuidv7(),
  email text not null check (email = lower(email)),
  name text not null,
  role text not null check (role in ('administrator', 'broker')),
  -- Null until the invitation was accepted: nobody can sign in before that.
  password_hash text,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, email)
);

create table setting (
  tenant_id uuid not null,
  key text not null check (key ~ '^[a-z][a-z0-9_.]{0,62}$'),
  value jsonb not null,
  primary key (tenant_id, key)
);

-- Last number given out. Counting in a row makes numbers without gaps, and no broker learns how much others write.
create table counter (
  tenant_id uuid not null,
  kind text not null check (kind in ('quote', 'policy')),
  year integer not null,
  value bigint not null check (value > 0),
  primary key (tenant_id, kind, year)
);
