/** Rowhouse in the same comparison: `rowhouse verify` itself, with its controls, on the same tables. */

import { randomBytes } from 'node:crypto'
import { install, protect } from 'rowhouse/install'
import { onDatabase, openScratchServer } from '../../src/clone/scratch-database.ts'
import { onConnection } from '../../src/operator/on-connection.ts'
import { type VerifiedCell, verify } from '../../src/verify/verify.ts'
import type { PeerCell } from './attack-peer.ts'
import { packageVersion } from './package-version.ts'

export const ROWHOUSE = {
  name: 'Rowhouse',
  version: packageVersion('rowhouse'),
  purpose: 'A library and an installed schema that sign the tenant of each statement, for pooled tables',
  setup:
    '`install`, `protect` on each table, `withTenant`; three sources of a request: subdomain, API key, trusted header',
} as const

export interface RowhouseCells {
  readonly cells: readonly PeerCell[]
  /** How many of its attacks succeeded on a database weakened on purpose, of how many. */
  readonly controls: { readonly fired: number; readonly total: number }
}

/**
 * Installs Rowhouse beside whatever is on the server, in a database that is gone afterwards, and verifies the schema.
 *
 * @param appUrl  of `rowhouse_app`, on any database of the server
 * @throws Error when a refusal counts for nothing because its control did not succeed
 */
export async function attackRowhouse(adminUrl: string, appUrl: string, schema: string): Promise<RowhouseCells> {
  const server = await openScratchServer(adminUrl)
  try {
    const name = await server.create()
    const url = onDatabase(adminUrl, name)
    await install({ url, rootKey: randomBytes(32).toString('hex') })
    const tables = await onConnection(url, async (client) => {
      await client.query(`set role rowhouse_owner; set search_path = public; ${schema}`)
      const { rows } = await client.query<{ name: string }>(
        `select tablename as name from pg_catalog.pg_tables where schemaname = 'public' order by 1`,
      )
      return rows
    })
    await protect({ url, tables })
    const { cells, controls } = await verify({ adminUrl: url, appUrl: onDatabase(appUrl, name) })
    return { cells: cells.filter(({ verdict }) => verdict !== 'not-applicable').map(toPeerCell), controls }
  } finally {
    await server.close()
  }
}

function toPeerCell({ attack, title, target, verb, verdict, how }: VerifiedCell): PeerCell {
  if (verdict === 'void') throw new Error(`Cannot compare by ${attack} "${title}" on ${target}: ${how}`)
  return { attack, title, target, verb, verdict: verdict === 'leaked' ? 'leaked' : 'refused', how }
}
