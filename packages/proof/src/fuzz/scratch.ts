import { randomBytes } from 'node:crypto'
import type { Client } from 'pg'
import { createTenantAdmin, install, protect } from 'rowhouse/install'
import { onDatabase, openScratchServer, type ScratchServer } from '../clone/scratch-database.ts'
import { onConnection } from '../operator/on-connection.ts'
import {
  ACTING,
  OWN_UNITS,
  type Population,
  populationSql,
  SCHEMA,
  STORED,
  TABLES,
  TENANTS,
  UNITS,
  VIEW_GRANTS,
} from './fixture.ts'
import { sentinelSql } from './sentinel.ts'
import type { Weakness } from './weaknesses.ts'

/** The databases of a run, alike in everything but the rows they hold. */
export type Side = 'all' | 'alone' | 'narrow'

/** `alone` holds the acting tenant only; `narrow`, of tables with unit scope, only the rows of its units as well. */
const POPULATIONS: Readonly<Record<Side, Population>> = {
  all: { tenants: TENANTS, units: UNITS },
  alone: { tenants: [ACTING], units: UNITS },
  narrow: { tenants: [ACTING], units: OWN_UNITS },
}

export const SIDES: readonly Side[] = ['all', 'alone', 'narrow']

/** A set of databases with applications to come, one per side. */
export interface Scratch {
  readonly rootKey: string
  adminUrl(side: Side): string
  appUrl(side: Side): string
  drop(): Promise<void>
}

interface ScratchOptions {
  readonly adminUrl: string
  readonly appUrl: string
  readonly rootKey?: string | undefined
}

/** Filled databases nobody connects to, of which sets are cloned: installing takes ten times as long as copying. */
export interface Mould {
  /** Returns a new set, weakened where a weakness is given. */
  cast(weakness: Weakness | undefined): Promise<Scratch>
  drop(): Promise<void>
}

/** Installs Rowhouse, protects the fixture, fills it, once per side. Whatever fails in between, nothing is left. */
export async function createMould(options: ScratchOptions): Promise<Mould> {
  const rootKey = options.rootKey ?? randomBytes(32).toString('base64')
  const server = await openScratchServer(options.adminUrl)
  try {
    const all = await server.create()
    const url = onDatabase(options.adminUrl, all)
    await prepare(url, rootKey)
    // Estimates of nested subqueries are high enough for compiling them, which takes a hundred times longer than running.
    await withClient(url, (admin) => admin.query(`alter database ${all} set jit = off`))
    const names = { all, alone: await server.create(all), narrow: await server.create(all) }
    for (const side of SIDES) await fill(onDatabase(options.adminUrl, names[side]), POPULATIONS[side])
    const cast = (weakness: Weakness | undefined) => castSet({ ...options, server, names, rootKey }, weakness)
    return { drop: server.close, cast }
  } catch (error) {
    await server.close()
    throw error
  }
}

interface MadeMould extends ScratchOptions {
  readonly server: ScratchServer
  readonly names: Readonly<Record<Side, string>>
  readonly rootKey: string
}

async function castSet(mould: MadeMould, weakness: Weakness | undefined): Promise<Scratch> {
  const { server, rootKey } = mould
  const names = new Map<Side, string>()
  const nameOf = (side: Side) => names.get(side) ?? ''
  const adminUrl = (side: Side) => onDatabase(mould.adminUrl, nameOf(side))
  const drop = async () => {
    for (const name of names.values()) await server.drop(name)
  }
  try {
    for (const side of SIDES) names.set(side, await server.create(mould.names[side]))
    if (weakness !== undefined)
      for (const side of SIDES) await withClient(adminUrl(side), (admin) => admin.query(weakness.sql))
  } catch (error) {
    await drop()
    throw error
  }
  return { rootKey, adminUrl, appUrl: (side) => onDatabase(mould.appUrl, nameOf(side)), drop }
}

export function withClient<T>(url: string, fn: (client: Client) => Promise<T>): Promise<T> {
  return onConnection(url, fn, { application_name: 'rowhouse-fuzz' })
}

async function prepare(url: string, rootKey: string): Promise<void> {
  await install({ url, rootKey })
  await withClient(url, (admin) => admin.query(SCHEMA))
  const tables = TABLES.map(({ name, unitScope }) => ({ name, unitScope }))
  await protect({ url, tables, references: ['port'] })
  await withClient(url, (admin) => admin.query(VIEW_GRANTS))
  const tenants = createTenantAdmin({ url, rootKey })
  try {
    for (const { id, slug } of TENANTS) await tenants.create({ id, slug })
  } finally {
    await tenants.close()
  }
}

/**
 * Fills the tables and keeps a copy of each, in the order of its rows, for `restore`. Statistics are not gathered: they
 * would come at times of their own and make plans depend on them.
 */
async function fill(url: string, population: Population): Promise<void> {
  await withClient(url, async (admin) => {
    await admin.query(populationSql(population))
    const stored = ['customer', 'shipment', 'line', 'event_low', 'event_high', 'ledger', 'note', 'attachment']
    for (const table of stored) await admin.query(`alter table ${table} set (autovacuum_enabled = off)`)
    await admin.query(sentinelSql())
    await admin.query('create schema kept')
    for (const table of STORED)
      await admin.query(`create table kept.${table} as select row_number() over () as kept_place, t.* from ${table} t`)
    const { rows } = await admin.query<{ sql: string }>(RESTORE_SQL, [STORED])
    await admin.query(
      `create procedure kept.restore() language sql as $restore$
         truncate ${STORED.join(', ')}; ${rows.map((row) => row.sql).join(' ')} $restore$`,
    )
  })
}

/** Writes one INSERT per table, without the columns PostgreSQL computes. */
const RESTORE_SQL = `
  select format('insert into %s (%s) select %2$s from kept.%1$s order by kept_place;', c.oid::regclass, string_agg(quote_ident(a.attname), ', ' order by a.attnum)) as sql
    from unnest($1::text[]) with ordinality t (name, place)
    join pg_class c on c.oid = t.name::regclass
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
   group by c.oid, t.place order by t.place`
