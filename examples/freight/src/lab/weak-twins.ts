import { createHash, randomBytes } from 'node:crypto'
import type pg from 'pg'
import type { Rowhouse } from 'rowhouse'
import { readSql, withClient } from '../schema.ts'

/** Shipments of each tenant in the twins. */
const COPIED = 25

interface CopiedShipment {
  readonly tenant_id: string
  readonly number: string
  readonly status: string
  readonly origin: string
  readonly destination: string
}

export interface WeakTwins {
  /** URL of a login that reaches the twins and nothing else. */
  readonly url: string
  /** Removes twins and login. Nothing may be connected with it any more. */
  drop(): Promise<void>
}

/**
 * Makes the weakened twins anew, with the newest shipments of a few tenants: each read as that tenant, because not
 * even the laboratory has a way to read several at once.
 *
 * The twins have a login of their own: what is typed into the laboratory may end the transaction it runs in and then
 * do whatever its login may, such as changing the password of that login.
 *
 * @param url  of the operator's login, which owns the twins
 */
export async function createWeakTwins(url: string, rowhouse: Rowhouse, slugs: readonly string[]): Promise<WeakTwins> {
  const rows = await readNewest(rowhouse, slugs)
  const password = randomBytes(24).toString('base64url')
  const login = loginFor(url)
  await withClient(url, async (client) => {
    await client.query('begin')
    await dropTwins(client, login)
    await client.query(await readSql('lab/weak-twins.sql'))
    await fillTwins(client, rows)
    await client.query(`create role ${login} login password '${password}'`)
    await client.query(`grant usage on schema lab to ${login}`)
    await client.query(`grant select, insert, update on all tables in schema lab to ${login}`)
    await client.query('commit')
  })
  return { url: withLogin(url, login, password), drop: () => withClient(url, (client) => dropTwins(client, login)) }
}

/** Logins are one set for a whole server: the name carries the database, so that two demonstrations have two. */
function loginFor(url: string): string {
  return `freight_lab_${createHash('sha256').update(new URL(url).pathname).digest('hex').slice(0, 8)}`
}

function withLogin(url: string, user: string, password: string): string {
  const changed = new URL(url)
  changed.username = user
  changed.password = password
  return changed.href
}

async function dropTwins(client: pg.Client, login: string): Promise<void> {
  await client.query('drop schema if exists lab cascade')
  await client.query(`drop role if exists ${login}`)
}

async function readNewest(rowhouse: Rowhouse, slugs: readonly string[]): Promise<CopiedShipment[]> {
  const perTenant = await Promise.all(
    slugs.map((slug) =>
      rowhouse.withTenant({ tenant: slug, actor: 'attack lab' }, (db) =>
        db.many<CopiedShipment>(
          `select tenant_id, number, status, origin, destination from shipment order by created_at desc limit ${COPIED}`,
        ),
      ),
    ),
  )
  return perTenant.flat()
}

async function fillTwins(client: pg.Client, rows: readonly CopiedShipment[]): Promise<void> {
  const columns = (['tenant_id', 'number', 'status', 'origin', 'destination'] as const).map((name) =>
    rows.map((row) => row[name]),
  )
  for (const table of ['lab.open_shipment', 'lab.setting_shipment']) {
    await client.query(
      `insert into ${table} select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])`,
      columns,
    )
  }
}
