import { type Rule, SURVEYED } from '../../rule.ts'
import { OPEN_MOVE, OPEN_MOVES, openMove } from './open-moves.ts'
import { FIRST_TENANT, settle } from './placed.ts'

const GONE = '00000000-0000-4000-8000-0000000000bb'
const HOME = 't_acme_000000000001'

const TABLE = 'create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id))'

function trigger(move: string): string {
  const name = `rowhouse_move_${move.replaceAll('-', '')}_insert`
  return `create trigger ${name} after insert on t for each row execute function rowhouse.capture_key('${move}', 't', 'tenant_id', 'id')`
}

const captured = (move: string) =>
  `insert into rowhouse.captured_key (move_id, table_name, key) values ('${move}', 't', '{}')`

const freeze = (home: string) =>
  `insert into rowhouse.ddl_freeze (home, reason, held_by, until) values ('${home}', 'tenants are being moved', 'rowhouse moves', now() + interval '1 h')`

const MARK = `update rowhouse.placement set moving_since = now()`

export const moveLeftBehind: Rule = {
  id: 'L69',
  name: 'move-left-behind',
  severity: 'warning',
  title: 'Part of a move that is over',
  why: 'A move that lost its server in the wrong moment can leave what kept it going. A trigger goes on writing down the keys of rows, for nobody, or stands in the way of TRUNCATE; a freeze keeps migrations out; a mark makes the requests of a tenant wait before they fail. Asked where the registry is kept, which knows the moves; elsewhere it is known of triggers that are switched off and of keys whose triggers are gone.',
  remedy: 'Run `rowhouse orphans --remove`, which asks again before it removes anything, on all servers.',
  applies: 'installed',
  sinceSchema: 6,
  sql: `with ${SURVEYED}, ${OPEN_MOVES},
    place as (select exists (select from rowhouse.tenant) as knows),
    left_trigger as (
      select n.nspname, c.relname, g.tgname, substr(g.tgname, 15, 32) as move, g.tgenabled = 'D' as is_off
        from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
       where g.tgname ~ '^rowhouse_move_[0-9a-f]{32}_' and g.tgparentid = 0),
    is_open as (select unnest(o.triggers) as move from open_move o)
    select format('trigger %I on %I.%I', t.tgname, t.nspname, t.relname) as object,
           format('trigger %I on %I.%I belongs to no open move', t.tgname, t.nspname, t.relname) as message,
           format('drop trigger %I on %I.%I;', t.tgname, t.nspname, t.relname) as mend
      from left_trigger t, place p where t.move not in (select o.move from is_open o) and (p.knows or t.is_off)
    union all
    select format('move %s', k.move_id), format('%s captured keys of move %s, which is not open', count(*), k.move_id),
           format('delete from rowhouse.captured_key where move_id = %L;', k.move_id)
      from rowhouse.captured_key k, place p
     where replace(k.move_id::text, '-', '') not in (select o.move from is_open o)
       and (p.knows or not exists (select from left_trigger t where t.move = replace(k.move_id::text, '-', '')))
     group by k.move_id
    union all
    select case f.home when '' then 'shared tables' else format('schema %I', f.home) end,
           format('a freeze keeps migrations out of %s for a move, and none is open there', case f.home when '' then 'the shared tables' else quote_ident(f.home) end),
           format('delete from rowhouse.ddl_freeze where home = %L;', f.home)
      from rowhouse.ddl_freeze f, place p
     where f.held_by = 'rowhouse moves' and (case when p.knows then f.home not in (select o.home from open_move o where o.home is not null) else f.until < now() end)
    union all
    select format('tenant %s', p.tenant_id), format('tenant %s is marked as being moved, and no move of it is open', p.tenant_id),
           format('update rowhouse.placement set moving_since = null where tenant_id = %L;', p.tenant_id)
      from rowhouse.placement p where p.moving_since is not null and p.tenant_id not in (select o.tenant_id from open_move o)`,
  fixtures: {
    fires: [
      `${settle()};
${TABLE};
${trigger(GONE)}`,
      `${settle()};
${openMove(FIRST_TENANT, HOME)};
${captured(GONE)}`,
      `${settle()};
${freeze('')}`,
      `${settle()};
${openMove(FIRST_TENANT, HOME)};
${freeze('t_bolt_000000000002')}`,
      `${settle()};
${MARK}`,
      // Where no registry is.
      `${TABLE};
${trigger(GONE)};
alter table t disable trigger all`,
      captured(GONE),
    ],
    quiet: [
      settle(),
      `${settle()};
${openMove(FIRST_TENANT, HOME)};
${TABLE};
${trigger(OPEN_MOVE)};
${captured(OPEN_MOVE)};
${freeze('')};
${freeze(HOME)};
${MARK}`,
      // Another server's database knows no moves: what may belong to one is left alone.
      `${TABLE};
${trigger(GONE)};
${captured(GONE)};
${freeze('')}`,
    ],
  },
}
