import pg from 'pg'
import { ACTING, OWN_UNITS, STORED } from './fixture.ts'
import type { Scratch, Side } from './scratch.ts'

/** Looks behind the walls of the databases, as superuser: what do the others' rows look like, and back to the start. */
export interface Keeper {
  /** Returns a digest of all rows that are not the acting tenant's, or not in its units where `units` is set. */
  digestOfOthers(side: Side, units: boolean): Promise<string>
  /** Returns a digest of the acting tenant's rows (of its units). */
  digestOfOwn(side: Side, units: boolean): Promise<string>
  /** Puts all rows back as they were, in their order. */
  restore(side: Side): Promise<void>
  close(): Promise<void>
}

export async function createKeeper(scratch: Scratch, sides: readonly Side[]): Promise<Keeper> {
  const clients = new Map<Side, pg.Client>()
  for (const side of sides) {
    const client = new pg.Client({ connectionString: scratch.adminUrl(side), application_name: 'rowhouse-fuzz' })
    client.on('error', () => {}) // a lost connection is reported by the next statement
    await client.connect()
    // Triggers and foreign keys have nothing to say about rows that were there before.
    await client.query(`set session_replication_role = replica`)
    clients.set(side, client)
  }
  const ask = async (side: Side, text: string) => {
    const { rows } = (await clients.get(side)?.query<{ digest: string }>(text)) ?? { rows: [] }
    return rows[0]?.digest ?? ''
  }
  return {
    digestOfOthers: (side, units) => ask(side, digestSql(units, false)),
    digestOfOwn: (side, units) => ask(side, digestSql(units, true)),
    restore: async (side) => {
      await clients.get(side)?.query('call kept.restore()')
    },
    close: async () => {
      await Promise.all([...clients.values()].map((client) => client.end()))
    },
  }
}

function digestSql(units: boolean, own: boolean): string {
  const parts = STORED.map((table) => {
    const scoped = units && (table === 'note' || table === 'attachment')
    const mine = `tenant_id = '${ACTING.id}'${scoped ? ` and unit_id = any ('{${OWN_UNITS.join(',')}}')` : ''}`
    return `(select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from ${table} t where ${own ? '' : 'not '}(${mine}))`
  })
  return `select ${parts.join(' || ')} as digest`
}
