/**
 * The promise in one run: a company works while it moves between models, servers, regions and majors of PostgreSQL, and
 * rows deleted by mistake come back out of shared tables, with every acknowledged booking and nobody else's rows touched.
 */

import { randomBytes } from 'node:crypto'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ScopedDb } from 'rowhouse'
import { install } from 'rowhouse/install'
import { EmbeddedError, type EmbeddedPostgres, type Major, startPostgres } from 'rowhouse-embedded'
import { type ControlPlane, openControlPlane } from 'rowhouse-server'
import { type RehearsalReport, type RehearsedPlace, rehearseMoves } from 'rowhouse-server/testing'
import { bookShipment } from '../domain/book-shipment.ts'
import { loadCompany } from '../domain/company.ts'
import type { ShipmentOrder } from '../domain/shipment-order.ts'
import { MIGRATIONS, withClient } from '../schema.ts'
import { tell } from './tell.ts'

export interface TripOptions {
  /** Shipments of each company before the first move, 1 to 100,000. */
  readonly shipments: number
  /** Lets databases accept seals they have withdrawn, so that a process with an old address goes on writing there. For good. */
  readonly weaken?: boolean
}

/** Servers to travel between. */
export interface Journey {
  /** Makes two companies, takes one around and home, and tells what happened. Leaves none of them. */
  travel(options: TripOptions): Promise<RehearsalReport>
  /** Stops the servers; what they held is gone. */
  close(): Promise<void>
}

type Say = (line: string) => void

const PLACES: readonly RehearsedPlace[] = [
  { model: 'database', server: 'vault' },
  { model: 'schema', server: 'west' },
]

/** The servers besides `main`, which is of the newest major, in region `eu`. */
const SERVERS: readonly { readonly name: string; readonly region: string; readonly major: Major }[] = [
  { name: 'vault', region: 'eu', major: 15 },
  { name: 'west', region: 'us', major: 17 },
]

/** Nothing here outlives the run. */
const SETTINGS = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }

/** A row all companies refer to has to be in every home: in a migration it is, also in a database made by a move. */
const PORTS = `insert into port (code, name, country, latitude, longitude) values
  ('AEJEA', 'Jebel Ali', 'United Arab Emirates', 25.01, 55.06), ('NLRTM', 'Rotterdam', 'Netherlands', 51.95, 4.14);
`

const ORDER: Omit<ShipmentOrder, 'packages'> = {
  ...{ branch: 'DXB', customer: 'C0001', mode: 'sea', origin: 'AEJEA', destination: 'NLRTM' },
  ...{ goods: 'tea', weightKg: 900, freight: 450 },
}

/**
 * Starts the servers with the freight tables on each.
 *
 * @param places  where the company goes before it comes home; servers it does not visit are not started
 */
export async function openJourney(say: Say, places: readonly RehearsedPlace[] = PLACES): Promise<Journey> {
  const cleanings: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const clean of cleanings.splice(0).toReversed()) await clean()
  }
  try {
    const platform = await openPlatform(cleanings, places, say)
    return { travel: (options) => travel(platform, places, say, options), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function travel(
  platform: JourneyPlatform,
  places: readonly RehearsedPlace[],
  say: Say,
  { shipments, weaken = false }: TripOptions,
): Promise<RehearsalReport> {
  if (weaken) {
    say('Weakened: databases go on accepting seals they have withdrawn. What follows has to fail')
    for (const url of platform.urls) await keepOldSeals(url)
  }
  return rehearseMoves({
    ...platform,
    placements: places,
    rows: shipments,
    prepare: openBranch,
    write: book,
    read: readShipments,
    onEvent: (event) => tell(event, say),
  })
}

interface JourneyPlatform {
  readonly url: string
  readonly appUrl: string
  readonly rootKey: string
  readonly migrations: string
  readonly plane: ControlPlane
  /** Operator's URLs of all servers. */
  readonly urls: readonly string[]
}

async function openPlatform(
  cleanings: (() => Promise<unknown>)[],
  places: readonly RehearsedPlace[],
  say: Say,
): Promise<JourneyPlatform> {
  const visited = SERVERS.filter(({ name }) => places.some(({ server }) => server === name))
  const migrations = await mkdtemp(join(tmpdir(), 'rowhouse-journey-'))
  cleanings.push(() => rm(migrations, { recursive: true }))
  for (const file of ['000001-freight.sql', '000002-branches.sql'])
    await copyFile(join(MIGRATIONS, file), join(migrations, file))
  await writeFile(join(migrations, '000003-ports.sql'), PORTS)

  const [main, ...others] = await Promise.all([{ major: 18 as const }, ...visited].map(({ major }) => start(major)))
  if (main === undefined) throw new Error('Cannot begin: no server was started')
  cleanings.push(() => Promise.all([main, ...others].map((server) => server.stop())))
  const rootKey = randomBytes(32).toString('hex')
  const appPassword = randomBytes(16).toString('hex')
  const login = { user: 'rowhouse_app', password: appPassword }
  await install({ url: main.url, rootKey, appPassword })
  const plane = await openControlPlane({ url: main.url, rootKey, migrations })
  cleanings.push(() => plane.close())
  await plane.servers.equip('main')
  say(`main   PostgreSQL ${main.serverVersion}, region eu`)
  for (const [index, { name, region }] of visited.entries()) {
    const server = others[index] as EmbeddedPostgres
    const [adminName, appName] = [`JOURNEY_${name.toUpperCase()}_ADMIN_URL`, `JOURNEY_${name.toUpperCase()}_APP_URL`]
    process.env[adminName] = server.url
    process.env[appName] = server.urlFor('postgres', login)
    await plane.servers.add({ name, region, adminUrl: `env:${adminName}`, appUrl: `env:${appName}` })
    say(`${name.padEnd(6)} PostgreSQL ${server.serverVersion}, region ${region}`)
  }
  const urls = [main, ...others].map(({ url }) => url)
  return { url: main.url, appUrl: main.urlFor('postgres', login), rootKey, migrations, plane, urls }
}

/** Older majors are packaged for Linux on x64; elsewhere every server is of the newest one, which its line says. */
async function start(major: Major): Promise<EmbeddedPostgres> {
  try {
    return await startPostgres({ major, settings: SETTINGS })
  } catch (error) {
    if (error instanceof EmbeddedError && error.code === 'ERR_PLATFORM_UNSUPPORTED' && major !== 18) return start(18)
    throw error
  }
}

async function openBranch(db: ScopedDb): Promise<void> {
  await db.query(`insert into branch (code, name, port_code) values ('DXB', 'Dubai', 'AEJEA')`)
  await db.query(`insert into customer (code, name, country) values ('C0001', 'Saffron Textiles', 'AE')`)
}

/** As the application books it: number, shipment and first event in one transaction. */
async function book(db: ScopedDb, n: number): Promise<string> {
  const { id } = await bookShipment(db, await loadCompany(db), { ...ORDER, packages: 1 + (n % 40) })
  return id
}

/** Half a booking is none: a shipment counts with its first event. */
async function readShipments(db: ScopedDb): Promise<string[]> {
  const rows = await db.many<{ id: string }>(
    `select s.id from shipment s join event e on e.shipment_id = s.id and e.kind = 'booked'`,
  )
  return rows.map(({ id }) => id)
}

/** The fence withdraws the seals of a tenant that leaves; this takes the withdrawal out. */
async function keepOldSeals(url: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ text: string }>(
      `select pg_get_functiondef('rowhouse.accept_stamps'::regproc) as text`,
    )
    const text = rows[0]?.text ?? ''
    const weak = text
      .replace('delete from rowhouse.accepted_stamp s where s.tenant_id = new.tenant_id;', '')
      .replace('where k.version is not null;', 'where k.version is not null on conflict do nothing;')
    if (weak === text) throw new Error('Cannot weaken the fence: its function has another text')
    await client.query(weak)
  })
}
