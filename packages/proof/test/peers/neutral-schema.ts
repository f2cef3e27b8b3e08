/** Schemas the comparison runs on: keys that are equally good for everyone, and keys as the documentation of each shows them. */

/** Tables of a forwarding company, every key and reference starting with the tenant: nothing but the isolation differs. */
export const NEUTRAL_SQL = `
create table branch (
  tenant_id uuid not null, id uuid not null default gen_random_uuid(), code text not null, name text not null,
  primary key (tenant_id, id), unique (tenant_id, code));
create table customer (
  tenant_id uuid not null, id uuid not null default gen_random_uuid(), code text not null, name text not null, credit_days smallint not null default 30,
  primary key (tenant_id, id), unique (tenant_id, code));
create table quote (
  tenant_id uuid not null, id uuid not null default gen_random_uuid(), branch_id uuid not null, customer_id uuid not null, number text not null,
  amount numeric(14, 2) not null, valid_until date not null,
  primary key (tenant_id, id), unique (tenant_id, number),
  foreign key (tenant_id, branch_id) references branch (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id));
create table shipment (
  tenant_id uuid not null, id uuid not null default gen_random_uuid(), branch_id uuid not null, customer_id uuid not null, quote_id uuid, number text not null,
  goods text not null, weight_kg integer not null, created_at timestamptz not null default now(),
  primary key (tenant_id, id), unique (tenant_id, number),
  foreign key (tenant_id, branch_id) references branch (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, quote_id) references quote (tenant_id, id));
create table container (
  tenant_id uuid not null, id uuid not null default gen_random_uuid(), shipment_id uuid not null, number text not null, gross_kg integer not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, shipment_id) references shipment (tenant_id, id));
create table document (
  tenant_id uuid not null, id uuid not null default gen_random_uuid(), shipment_id uuid not null, kind text not null, body jsonb not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, shipment_id) references shipment (tenant_id, id));
create table invoice (
  tenant_id uuid not null, id uuid not null default gen_random_uuid(), shipment_id uuid not null, number text not null, net numeric(14, 2) not null, due_on date not null,
  primary key (tenant_id, id), unique (tenant_id, number),
  foreign key (tenant_id, shipment_id) references shipment (tenant_id, id));
create table invoice_line (
  tenant_id uuid not null, id uuid not null default gen_random_uuid(), invoice_id uuid not null, position smallint not null, net numeric(14, 2) not null,
  primary key (tenant_id, id), unique (tenant_id, invoice_id, position),
  foreign key (tenant_id, invoice_id) references invoice (tenant_id, id));`

/** Two tables with ids of one column, as guides to the pattern have them. */
export const SINGLE_KEYS_SQL = `
create table projects (
  id uuid primary key default gen_random_uuid(), tenant_id uuid not null, name text not null);
create table tasks (
  id uuid primary key default gen_random_uuid(), tenant_id uuid not null, project_id uuid not null references projects (id), title text not null);`

/** The same two as Rowhouse's documentation has them: its `protect` refuses keys that do not start with the tenant. */
export const TENANT_KEYS_SQL = `
create table projects (
  tenant_id uuid not null, id uuid not null default gen_random_uuid(), name text not null,
  primary key (tenant_id, id));
create table tasks (
  tenant_id uuid not null, id uuid not null default gen_random_uuid(), project_id uuid not null, title text not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, project_id) references projects (tenant_id, id));`
