import type { Attack } from '../../src/verify/attack.ts'
import { attackPeer } from './attack-peer.ts'
import { betterTenantPeer } from './better-tenant-peer.ts'
import { NEUTRAL_SQL, TENANT_KEYS_SQL } from './neutral-schema.ts'
import type { Peer } from './peer.ts'
import type { Column, Comparison } from './report.ts'
import { attackRowhouse, ROWHOUSE } from './rowhouse-column.ts'
import { setConfigPeer } from './set-config-peer.ts'

export interface Server {
  readonly adminUrl: string
  /** Of `rowhouse_app`. */
  readonly appUrl: string
  readonly version: string
}

/** Attacks one after the other, in the order of the page. */
export async function compare(server: Server, onColumn: (column: Column) => void): Promise<Comparison> {
  const columns: Column[] = []
  const add = (column: Column) => {
    columns.push(column)
    onColumn(column)
  }
  const neutral = await attackRowhouse(server.adminUrl, server.appUrl, NEUTRAL_SQL)
  const own = await attackRowhouse(server.adminUrl, server.appUrl, TENANT_KEYS_SQL)
  add({
    ...ROWHOUSE,
    cells: neutral.cells,
    ownKeys: own.cells.filter(({ attack }) => attack.startsWith('ORA-')),
    ownKeysAre: '`primary key (tenant_id, id)`; `protect` refuses a table with others',
  })
  for (const peer of [setConfigPeer, betterTenantPeer]) add(await columnOf(server.adminUrl, peer))
  return { postgres: server.version, node: process.versions.node, controls: neutral.controls, columns }
}

/** Attacks a peer on the shared tables, and on its own for what keys tell. */
async function columnOf(adminUrl: string, peer: Peer): Promise<Column> {
  const { name, version, purpose, setup } = peer
  return {
    name,
    version,
    purpose,
    setup,
    cells: await attackPeer({ adminUrl, peer, schema: NEUTRAL_SQL, keys: 'tenant first' }),
    ownKeys: await attackPeer({ adminUrl, peer, schema: peer.own.schema, keys: 'single', only: asksKeys }),
    ownKeysAre: peer.own.keys,
  }
}

const asksKeys = ({ id }: Attack) => id.startsWith('ORA-')
