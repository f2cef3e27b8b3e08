/** A page whose author forgot that there are tenants. */

import type { Wall } from './walls.ts'

export interface ForgetfulAttack {
  readonly name: string
  sql(wall: Wall, victimId: string): string
  /** True when running at all is the harm. */
  readonly successLeaks?: boolean
}

export const FORGETFUL_ATTACKS: readonly ForgetfulAttack[] = [
  {
    name: 'count without WHERE',
    sql: ({ table }) => `select tenant_id, count(*)::int as shipments from ${table} group by tenant_id`,
  },
  {
    name: 'list without WHERE',
    sql: ({ table }) => `select number, status, origin, destination, tenant_id from ${table} limit 60`,
  },
  {
    name: 'ask for the other tenant',
    sql: ({ table }, victimId) => `select * from ${table} where tenant_id = '${victimId}' limit 20`,
  },
  { name: 'update without WHERE', sql: ({ writeTable, update }) => `update ${writeTable} set ${update}` },
  { name: 'plant a row in the other tenant', sql: (wall, victimId) => wall.plant(victimId), successLeaks: true },
  {
    name: 'give own rows to the other tenant',
    sql: ({ writeTable }, victimId) => `update ${writeTable} set tenant_id = '${victimId}'`,
    successLeaks: true,
  },
]
