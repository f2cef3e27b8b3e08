import { type Rule, SURVEYED } from '../../rule.ts'

export const foreignKeyUnproven: Rule = {
  id: 'L24',
  name: 'foreign-key-unproven',
  severity: 'error',
  title: 'Foreign key that is not enforced or was never checked',
  why: 'A foreign key that starts with the tenant keeps a row from hanging below a row of another tenant. One that is NOT ENFORCED, NOT VALID or whose triggers are switched off promises that and does not keep it: rows that break it may be there.',
  remedy: 'Mend the rows that break the foreign key, then enforce and validate it.',
  applies: 'any',
  sql: `with ${SURVEYED},
    -- NOT ENFORCED (18) is read by name, because older servers do not have the column.
    key as (
      select k.oid, k.conrelid, k.conname, t.name, k.convalidated, coalesce(to_jsonb(k)->>'conenforced', 'true')::boolean as enforced
        from pg_constraint k join tenant_table t on t.oid = k.conrelid where k.contype = 'f' and k.conparentid = 0),
    stopped (oid) as (select distinct g.tgconstraint from pg_trigger g where g.tgisinternal and g.tgenabled in ('D', 'R') and g.tgconstraint <> 0)
    select format('constraint %I on %s', k.conname, k.name) as object,
           format('foreign key %I on %s %s', k.conname, k.name,
                  case when not k.enforced then 'is not enforced' when not k.convalidated then 'was never checked against the rows there were'
                       else 'has its triggers switched off' end) as message,
           case when not k.enforced then format('alter table %s alter constraint %I enforced;', k.name, k.conname)
                when not k.convalidated then format('alter table %s validate constraint %I;', k.name, k.conname)
                else format('alter table %s enable trigger all;', k.name) end as mend
      from key k
     where not k.enforced or not k.convalidated or k.oid in (select oid from stopped)`,
  fixtures: {
    fires: [
      `create table p (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create table t (tenant_id uuid not null, id bigint, p_id bigint, primary key (tenant_id, id));
alter table t add constraint t_p foreign key (tenant_id, p_id) references p (tenant_id, id) not valid`,
      `create table p (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create table t (tenant_id uuid not null, id bigint, p_id bigint, primary key (tenant_id, id),
  foreign key (tenant_id, p_id) references p (tenant_id, id));
alter table t disable trigger all`,
    ],
    quiet: [
      `create table p (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create table t (tenant_id uuid not null, id bigint, p_id bigint, primary key (tenant_id, id),
  foreign key (tenant_id, p_id) references p (tenant_id, id))`,
      `create table country (code text primary key);
create table city (code text);
alter table city add foreign key (code) references country (code) not valid`,
    ],
  },
}
