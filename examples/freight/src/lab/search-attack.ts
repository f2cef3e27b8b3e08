/** The search box that splices what is typed into SQL. */

import type { Wall } from './walls.ts'

export interface Payload {
  readonly name: string
  /** `{table}`, `{switch}` and `{update}` stand for what they are at each wall. */
  readonly text: string
}

/** Cut off here so that nobody fills the log; longer than any payload below. */
export const MAX_PAYLOAD = 1_000

export const PAYLOADS: readonly Payload[] = [
  { name: 'always true', text: `x' or true limit 100 --` },
  {
    name: 'union with the whole table',
    text: `x' union all select number, status, origin, destination, tenant_id from {table} limit 100 --`,
  },
  {
    name: 'become another tenant',
    text: `x' and false union all select t.number, t.status, t.origin, t.destination, t.tenant_id from (select set_config({switch}) as done offset 0) s cross join lateral (select * from {table} where s.done is not null limit 100) t --`,
  },
  {
    name: 'become another tenant inside XML',
    text: `x' and false union all select left(query_to_xml($q$select set_config({switch})$q$, false, true, '')::text || query_to_xml($q$select tenant_id, number from {table} limit 4$q$, false, true, '')::text, 2000), null, null, null, null --`,
  },
  {
    name: 'read the keys',
    text: `x' and false union all select encode(ipad, 'hex'), null, null, null, tenant_id from rowhouse.resident --`,
  },
  {
    name: 'list the tenants',
    text: `x' and false union all select slug, name, state, null, id from rowhouse.tenant --`,
  },
  { name: 'a second statement', text: `x'; select set_config({switch}) is null; update {table} set {update} --` },
  { name: 'drop the table', text: `x'; drop table {table} --` },
]

/** Builds the statement the way it must never be built: by putting text into text. */
export function unsafeSearchSql(wall: Wall, typed: string, tenantId: string, victimId: string): string {
  const payload = typed
    .slice(0, MAX_PAYLOAD)
    .replaceAll('{table}', wall.table)
    .replaceAll('{switch}', wall.switchTo(victimId))
    .replaceAll('{update}', wall.isControl ? wall.update : `status = 'cancelled'`)
  const where = `${wall.ownCondition(tenantId)}number ilike '%${payload}%'`
  return `select number, status, origin, destination, tenant_id from ${wall.table} where ${where} order by number limit 20`
}
