/** Makes the database of the freight application: tables, ports, walls. Safe to run at every start. */

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { protect } from 'rowhouse/install'
import { TENANT_TABLES } from './schema-tables.ts'

/** Held while the schema is made, so that two starts at once do not both make it. Any number no one else uses. */
const SCHEMA_LOCK = 7_260_126

/**
 * Applies the schema where it is missing, loads the ports and puts the walls up.
 *
 * @param url  of the operator's login, on a database where Rowhouse is installed
 */
export async function applyFreightSchema(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('begin')
    await client.query('select pg_advisory_xact_lock($1)', [SCHEMA_LOCK])
    const { rows } = await client.query<{ there: boolean }>(
      `select to_regclass('public.shipment') is not null as there`,
    )
    if (rows[0]?.there !== true) {
      await client.query('set local role rowhouse_owner')
      await client.query(await readSql('000001-freight.sql'))
      await client.query(await readSql('000002-branches.sql'))
      await insertPorts(client)
    }
    await client.query('commit')
  })
  await protect({ url, tables: [...TENANT_TABLES], references: ['port'] })
}

/** Loads the ports into a database whose migrations have run, unless they are there. */
export async function loadPorts(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('begin')
    await client.query('select pg_advisory_xact_lock($1)', [SCHEMA_LOCK])
    await client.query('set local role rowhouse_owner')
    if (!(await hasPorts(client))) await insertPorts(client)
    await client.query('commit')
  })
}

export async function hasPorts(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>('select exists (select from public.port) as there')
  return rows[0]?.there === true
}

/** Migrations of the tables, for a fleet; the ports come with `loadPorts`. */
export const MIGRATIONS = fileURLToPath(new URL('../sql', import.meta.url))

const TABLE_LIST = TENANT_TABLES.map(({ name }) => name).join(', ')

/** Lets the planner know the new rows. */
export function analyzeFreight(url: string): Promise<void> {
  return maintain(url, 'analyze')
}

/** As above, and lets index-only scans skip the table. */
export function vacuumFreight(url: string): Promise<void> {
  return maintain(url, 'vacuum (analyze)')
}

/** Only the owner of a table may maintain it. */
async function maintain(url: string, command: 'analyze' | 'vacuum (analyze)'): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('set role rowhouse_owner')
    await client.query(`${command} ${TABLE_LIST}`)
  })
}

/** Runs `fn` with a connection of the operator and closes it afterwards. */
export async function withClient<T>(url: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}

export function readSql(file: string): Promise<string> {
  return readFile(new URL(`../sql/${file}`, import.meta.url), 'utf8')
}

interface PortRecord {
  readonly name: string
  readonly country: string
  readonly coordinates?: readonly [longitude: number, latitude: number]
}

/** Ports without coordinates, or under a code that is none, are left out: some entries of the list are incomplete. */
async function insertPorts(client: pg.Client): Promise<void> {
  const require = createRequire(import.meta.url)
  const { JSON: ports } = require('sea-ports') as { JSON: Record<string, PortRecord> }
  const complete = Object.entries(ports).filter(
    ([code, port]) => /^[A-Z]{2}[A-Z0-9]{3}$/.test(code) && port.coordinates,
  )
  await client.query(
    `insert into port (code, name, country, latitude, longitude)
     select * from unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::float8[])`,
    [
      complete.map(([code]) => code),
      complete.map(([, port]) => port.name),
      complete.map(([, port]) => port.country),
      complete.map(([, port]) => port.coordinates?.[1]),
      complete.map(([, port]) => port.coordinates?.[0]),
    ],
  )
}
