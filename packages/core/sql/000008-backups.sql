--! rowhouse schema 8: which backups of tenants were made and rehearsed
--
-- Words: docs/guides/backup-and-restore.md. Used in the central database. The store decides which backups there are; what
-- stands here says how making and rehearsing them went, so that the doctor can tell when nobody has done either. Holds no
-- rows and no names of tenants, so an erased tenant's entries stay: they say which artefacts are left to be deleted.

set local role rowhouse_owner;

create table rowhouse.backup_event (
  id bigint generated always as identity primary key,
  tenant_id uuid not null references rowhouse.tenant (id) on delete cascade,
  kind text not null check (kind in ('backup', 'drill')),
  at timestamptz not null default clock_timestamp(),
  outcome text not null check (outcome in ('good', 'failed')),
  -- Name in the store. A backup that failed has none.
  artefact text check (artefact ~ '^[0-9a-f-]{36}/[0-9TZ]{16}-[0-9a-f]{8}$'),
  rows bigint check (rows >= 0),
  -- Code of the error, without its words: those may name what is not to be kept.
  fault text check (length(fault) between 1 and 100),
  check ((outcome = 'failed') = (fault is not null)),
  check (outcome = 'failed' or (artefact is not null and rows is not null))
);
create index backup_event_tenant_id_idx on rowhouse.backup_event (tenant_id, kind, at);
create index backup_event_artefact_idx on rowhouse.backup_event (artefact);

reset role;
