import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { createTenantAdmin, install, protect } from 'rowhouse/install'
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

/**
 * Makes the databases `rowhouse_fuzz_<random>_<side>` beside the one of `adminUrl`: installs Rowhouse, protects the
 * fixture, fills it. Whatever fails in between, nothing is left.
 */
export async function createMould(options: ScratchOptions): Promise<Mould> {
  const rootKey = options.rootKey ?? randomBytes(32).toString('base64')
  const set = nameSet(options, rootKey)
  try {
    await withClient(options.adminUrl, async (admin) => {
      await admin.query(`create database ${set.nameOf('all')} template template0`)
      await prepare(set.adminUrl('all'), rootKey)
      for (const side of ['alone', 'narrow'] as const) await clone(admin, set.nameOf('all'), set.nameOf(side))
    })
    for (const side of SIDES) await fill(set.adminUrl(side), POPULATIONS[side])
  } catch (error) {
    await set.drop()
    throw error
  }
  return { drop: set.drop, cast: (weakness) => cast(options, set, weakness) }
}

async function cast(options: ScratchOptions, mould: NamedSet, weakness: Weakness | undefined): Promise<Scratch> {
  const set = nameSet(options, mould.rootKey)
  try {
    await withClient(options.adminUrl, async (admin) => {
      for (const side of SIDES) await clone(admin, mould.nameOf(side), set.nameOf(side))
    })
    if (weakness !== undefined)
      for (const side of SIDES) await withClient(set.adminUrl(side), (admin) => admin.query(weakness.sql))
  } catch (error) {
    await set.drop()
    throw error
  }
  return set
}

interface NamedSet extends Scratch {
  nameOf(side: Side): string
}

function nameSet(options: ScratchOptions, rootKey: string): NamedSet {
  const stem = `rowhouse_fuzz_${randomBytes(5).toString('hex')}`
  const nameOf = (side: Side) => `${stem}_${side}`
  return {
    rootKey,
    nameOf,
    adminUrl: (side) => withDatabase(options.adminUrl, nameOf(side)),
    appUrl: (side) => withDatabase(options.appUrl, nameOf(side)),
    drop: () =>
      withClient(options.adminUrl, async (admin) => {
        for (const side of SIDES) await admin.query(`drop database if exists ${nameOf(side)} with (force)`)
      }),
  }
}

export async function withClient<T>(url: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'rowhouse-fuzz' })
  client.on('error', () => {}) // a lost connection is reported by the next statement
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}

function withDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.href
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

/** A clone gets neither the rights nor the settings of its template: those the installer made are made again. */
async function clone(admin: pg.Client, template: string, name: string): Promise<void> {
  await admin.query(`create database ${name} template ${template}`)
  await admin.query(`revoke temporary, create on database ${name} from public`)
  await admin.query(`grant connect on database ${name} to rowhouse_app, rowhouse_migrator`)
  // Estimates of nested subqueries are high enough for compiling them, which takes a hundred times longer than running.
  await admin.query(`alter database ${name} set jit = off`)
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
