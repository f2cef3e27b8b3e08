import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, notOfExtension, ownSchema, REACH } from '../policy/own-objects.ts'

export const sequenceUsable: Rule = {
  id: 'L28',
  name: 'sequence-usable',
  severity: 'warning',
  title: 'Sequence that all tenants read',
  why: 'A sequence counts for all tenants. Whoever may read it learns from two readings how much the others have written in between, and whoever may update it sets it back, so that the next inserts of all tenants fail.',
  remedy:
    'Use an identity column, which needs no right to its sequence, or ids in order of time (`rowhouse.uuidv7()`). Count the numbers people see per tenant, in a table.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH},
    sequence as (
      select q.oid, q.relacl, q.relowner, format('%I.%I', n.nspname, q.relname) as name,
             exists (select from pg_depend d where d.refclassid = 'pg_class'::regclass and d.refobjid = q.oid and d.classid = 'pg_attrdef'::regclass) as feeds,
             exists (select from pg_depend d join tenant_table t on t.oid = d.refobjid
                      where d.classid = 'pg_class'::regclass and d.objid = q.oid and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')) as of_tenants
        from pg_class q join pg_namespace n on n.oid = q.relnamespace
       where q.relkind = 'S' and q.relpersistence <> 't' and ${ownSchema('n')} and ${notOfExtension('pg_class', 'q.oid')})
    select format('sequence %s', q.name) as object,
           format('%s may %s on sequence %s: it tells how much all tenants write', case r.oid when 0 then 'everybody' else r.name end,
                  lower(string_agg(distinct acl.privilege_type, ', ' order by acl.privilege_type)), q.name) as message,
           -- While a column takes its default from the sequence, inserts need the right.
           case when not q.feeds then format('revoke all on sequence %s from %s;', q.name, case r.oid when 0 then 'public' else quote_ident(r.name) end) end as mend
      from sequence q, aclexplode(q.relacl) acl join reach r on r.oid = acl.grantee
     where acl.grantee <> q.relowner and (${INSTALLED} or q.of_tenants)
     group by q.oid, q.name, q.feeds, r.oid, r.name`,
  fixtures: {
    fires: [
      'create sequence bill_number; grant usage on sequence bill_number to rowhouse_app',
      `create table t (tenant_id uuid not null, id bigserial, primary key (tenant_id, id));
grant select on sequence t_id_seq to public`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint generated always as identity, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      'create sequence internal; grant usage on sequence internal to rowhouse_migrator',
    ],
    elsewhere: {
      fires: ['create table bill (org_id bigint, id bigserial); grant usage on sequence bill_id_seq to rowhouse_app'],
      quiet: ['create table port (code text, id bigserial); grant usage on sequence port_id_seq to rowhouse_app'],
    },
  },
}
