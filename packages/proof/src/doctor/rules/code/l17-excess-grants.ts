import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, notOfExtension, ownSchema, protectAgain, REACH } from '../policy/own-objects.ts'

export const excessGrants: Rule = {
  id: 'L17',
  name: 'excess-grants',
  severity: 'error',
  title: 'The application may do more with a table than it needs',
  why: 'TRUNCATE empties a table for all tenants, past every policy. TRIGGER attaches code that runs in the sessions of the other tenants, REFERENCES tells which keys exist, MAINTAIN locks the table for everybody. With UPDATE on `tenant_id` a row changes its tenant, and a table without tenants that all may write is a letter box between them.',
  remedy: 'Run `rowhouse protect` on the table again; publish shared tables with `rowhouse.publish_reference`.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH},
    tables as (
      select c.oid, c.relowner, c.relacl, coalesce(t.name, format('%I.%I', n.nspname, c.relname)) as name, t.column_name,
             t.oid is not null and c.relrowsecurity as protected
        from pg_class c join pg_namespace n on n.oid = c.relnamespace left join tenant_table t on t.oid = c.oid
       where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't' and ${ownSchema('n')} and ${notOfExtension('pg_class', 'c.oid')}),
    held as (
      select t.oid, acl.grantee, acl.privilege_type as right, acl.is_grantable, null as attname from tables t, aclexplode(t.relacl) acl where acl.grantee <> t.relowner
      union all
      select t.oid, acl.grantee, acl.privilege_type, acl.is_grantable, a.attname::text
        from tables t join pg_attribute a on a.attrelid = t.oid and a.attacl is not null and not a.attisdropped, aclexplode(a.attacl) acl where acl.grantee <> t.relowner),
    excess as (
      select h.oid, r.name as role,
             case when h.right in ('TRUNCATE', 'TRIGGER', 'REFERENCES', 'MAINTAIN') then h.right
                  when not ${INSTALLED} then null
                  when t.protected and r.oid = 0 then h.right || ' for everybody'
                  when t.protected and h.is_grantable then h.right || ' with the right to pass it on'
                  when t.protected and h.right = 'UPDATE' and coalesce(h.attname, 'tenant_id') = 'tenant_id' then 'UPDATE of tenant_id'
                  when t.column_name is null and h.right in ('INSERT', 'UPDATE', 'DELETE') then h.right || ' on a table all tenants share' end as what
        from held h join reach r on r.oid = h.grantee join tables t on t.oid = h.oid)
    select t.name as object,
           format('%s has %s on %s', e.role, string_agg(distinct e.what, ', ' order by e.what), t.name) as message,
           case when ${INSTALLED} and t.protected then ${protectAgain('t.oid', 't.name')}
                else format('revoke truncate, trigger, references%s on %s from %s;',
                     case when bool_or(e.what like '%share') then ', insert, update, delete' else '' end
                       || case when bool_or(e.what = 'MAINTAIN') then ', maintain' else '' end,
                     t.name, case e.role when 'PUBLIC' then 'public' else quote_ident(e.role) end) end as mend
      from excess e join tables t on t.oid = e.oid
     where e.what is not null
     group by t.oid, t.name, t.protected, e.role`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
grant truncate on t to rowhouse_app`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
grant update (tenant_id) on t to rowhouse_app`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
grant select on t to public`,
      `create table port (code text primary key);
select rowhouse.publish_reference('port');
grant insert on port to rowhouse_app`,
      'create table port (code text primary key); grant references (code) on port to rowhouse_app',
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, note text, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      `create table port (code text primary key); select rowhouse.publish_reference('port')`,
      'create table port (code text primary key); grant truncate on port to rowhouse_migrator',
    ],
    elsewhere: {
      fires: ['create table invoice (org_id bigint); grant all on invoice to rowhouse_app'],
      quiet: ['create table invoice (org_id bigint); grant select, insert, update, delete on invoice to rowhouse_app'],
    },
  },
}
