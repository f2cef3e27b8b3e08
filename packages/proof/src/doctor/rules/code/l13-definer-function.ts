import { type Rule, SURVEYED } from '../../rule.ts'
import { notOfExtension, ownSchema, REACH } from '../policy/own-objects.ts'

export const definerFunction: Rule = {
  id: 'L13',
  name: 'definer-function',
  severity: 'error',
  title: 'Function that runs with rights of somebody else',
  why: 'A SECURITY DEFINER function does what its owner may do, for whoever calls it. Where policies do not bind the owner, one call reads all tenants; where they do, it still has rights the application was not given. A trigger function of that kind runs at every write of a tenant.',
  remedy:
    'Make it SECURITY INVOKER. Where it has to be a definer, let a role own it that has the one right it needs, and do not let the application call it directly.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH},
    callable (oid) as (
      select distinct p.oid from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl join reach r on r.oid = acl.grantee
       where p.prosecdef and acl.privilege_type = 'EXECUTE'),
    fired (oid, table_name) as (
      select g.tgfoid, min(t.name) from pg_trigger g join tenant_table t on t.oid = g.tgrelid where not g.tgisinternal group by g.tgfoid)
    select format('routine %s', p.oid::regprocedure) as object,
           case when p.prorettype = 'trigger'::regtype
                then format('%s runs as %I at every write to %s, and policies do not bind %2$I', p.oid::regprocedure, o.rolname, f.table_name)
                else format('the application may call %s, which runs as %I%s', p.oid::regprocedure, o.rolname,
                            case when o.rolsuper or o.rolbypassrls then ', whom policies do not bind' else '' end) end as message,
           format('alter routine %s security invoker;', p.oid::regprocedure) as mend
      from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace
      join pg_roles o on o.oid = p.proowner
      left join fired f on f.oid = p.oid
     where p.prosecdef and ${ownSchema('n')} and ${notOfExtension('pg_proc', 'p.oid')}
       and not exists (select from app_role a where a.oid = p.proowner)
       and case when p.prorettype = 'trigger'::regtype then f.oid is not null and (o.rolsuper or o.rolbypassrls)
                when p.prorettype = 'event_trigger'::regtype then false
                else p.oid in (select oid from callable) end`,
  fixtures: {
    fires: [
      'create function total() returns bigint language sql security definer as $$ select 1::bigint $$',
      `create function total() returns bigint language sql security definer as $$ select 1::bigint $$;
alter function total() owner to rowhouse_owner;
revoke all on function total() from public;
grant execute on function total() to rowhouse_app`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create function note_it() returns trigger language plpgsql security definer as $$ begin return new; end $$;
revoke all on function note_it() from public;
create trigger note_it after insert on t for each row execute function note_it()`,
    ],
    quiet: [
      'create function total() returns bigint language sql as $$ select 1::bigint $$',
      `create function total() returns bigint language sql security definer as $$ select 1::bigint $$;
revoke all on function total() from public`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create function note_it() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger note_it after insert on t for each row execute function note_it()`,
    ],
  },
}
