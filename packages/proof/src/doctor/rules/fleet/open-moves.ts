/**
 * Moves that are not over: `open_move (id, tenant_id, state, triggers, home)`, a row for each of both homes in this database, and
 * one without a home where neither is. `triggers` are the ids its triggers are named after, there and for the way back.
 *
 * Kept where the registry is. Before schema 6 there are no moves, and rules ask about nothing that belongs to one.
 */
export const OPEN_MOVES = `
open_move as (
  select m.id, m.tenant_id, m.state, array[replace(m.id::text, '-', ''), left(encode(sha256(convert_to('back ' || m.id, 'UTF8')), 'hex'), 32)] as triggers,
         e.home
    from rowhouse.move m
    left join lateral (
      select coalesce(h.home ->> 'schema', '') as home from (values (m.source), (m.target)) h (home)
       where h.home ->> 'server' = 'main' and h.home ->> 'database' is null) e on true
   where m.state not in ('completed', 'aborted', 'reverted'))`

/** Statements that enter an open move of a tenant of the registry, from shared tables of this database to `schema`. */
export function openMove(tenantId: string, schema: string, state = 'copying'): string {
  return `insert into rowhouse.move (id, tenant_id, state, source, target, epoch, requested_by, reason)
values ('${OPEN_MOVE}', '${tenantId}', '${state}', '{"server":"main","model":"pooled"}', '{"server":"main","model":"schema","schema":"${schema}"}', 1, 'test', 'a move')`
}

export const OPEN_MOVE = '00000000-0000-4000-8000-0000000000aa'
