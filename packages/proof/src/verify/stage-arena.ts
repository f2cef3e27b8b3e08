/** A copy of the stage for one run: the database of the victim, and the library as it meets it. */

import type { Client } from 'pg'
import type { Uncloned } from '../clone/clone-schema.ts'
import { connect, onDatabase, type ScratchServer } from '../clone/scratch-database.ts'
import type { Survey } from '../doctor/survey.ts'
import { onConnection } from '../operator/on-connection.ts'
import type { SchemaFacts } from '../seed/schema-facts.ts'
import { quoted } from '../seed/seed-rows.ts'
import type { Arena, Credentials, Library, TenantRef } from './arena.ts'
import { openCarelessLibrary, openForgetfulRouter } from './careless-library.ts'
import type { Homes, Pair, Place, Scene } from './placing.ts'
import { openRowhouseLibrary } from './rowhouse-library.ts'
import { ATTACKER, claimHere, placeInDatabases, removeTenant, type Templates, VICTIM } from './stage-tenants.ts'
import { WEAKNESSES, type Weakness, type WeaknessId } from './weaknesses.ts'

export interface StageOptions {
  /** Login of a superuser, on the database whose schema is judged. Nothing is written there. */
  readonly adminUrl: string
  /** The application's own login. */
  readonly appUrl: string
  /** How the two tenants live. @defaultValue both in shared tables */
  readonly pair?: Pair
}

export interface Made extends StageOptions {
  readonly pair: Pair
  readonly homes: Homes
  readonly server: ScratchServer
  readonly survey: Survey
  readonly facts: SchemaFacts
  readonly scenes: Readonly<Record<Place, Scene>>
  readonly templates: Templates
  readonly rootKey: string
  readonly app: string
  readonly uncloned: readonly Uncloned[]
  readonly credentials: Credentials
}

/** The arena at the victim's, and the others. */
export interface OpenArena extends Arena {
  /** Where an attack takes place; made when it is first asked for. @throws {Error} for the attacker's own where the two live otherwise: those attacks are run where both live alike */
  at(place: Place): Promise<Arena>
  close(): Promise<void>
}

/** The schema with the attacker's rows and nobody else's. */
export interface Alone {
  readonly library: Library
  close(): Promise<void>
}

const NAMED = { application_name: 'rowhouse-verify' } as const

/** One database, and what it takes to work in it. */
interface Ground {
  readonly name: string
  readonly admin: Client
  readonly appUrl: string
}

/** What is opened is closed in the opposite order, also where opening stops halfway. */
class Opened {
  readonly #closing: (() => Promise<unknown>)[] = []

  add<T>(thing: T, close: () => Promise<unknown>): T {
    this.#closing.push(close)
    return thing
  }

  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close()
  }
}

export async function openArena(
  made: Made,
  kind: 'whole' | 'bare',
  weaknessId: WeaknessId | undefined,
  change: string | undefined,
  shared: Alone,
): Promise<OpenArena> {
  const weakness: Weakness | undefined = weaknessId === undefined ? undefined : WEAKNESSES[weaknessId]
  const opened = new Opened()
  try {
    const open = (template: string) => openGround(made, opened, template, kind, weakness, change)
    const ground = await open(made.templates.victim)
    await claimHere(ground.admin, ATTACKER)
    const alone = change === undefined ? shared : await openAlone(made, change)
    if (alone !== shared) opened.add(alone, alone.close)
    const base = {
      alone: alone.library,
      homes: made.homes,
      attacker: ATTACKER,
      victim: VICTIM,
      credentials: made.credentials,
    }
    const arenaOn = async (where: Ground, place: Place, library?: Library): Promise<Arena> => ({
      ...base,
      ...made.scenes[place],
      library: library ?? (await openLibrary(made, opened, where.appUrl, weakness)),
      admin: where.admin,
      appUrl: where.appUrl,
      raw: rawOf(made, where, weakness),
    })
    const victim = await arenaOn(ground, 'victim')
    const own = once(() => open(made.templates.own ?? made.templates.victim))
    const places: Readonly<Record<Place, () => Promise<Arena>>> = {
      victim: async () => victim,
      own: once(async () =>
        ownDatabases(made) ? arenaOn(await own(), 'own') : arenaOn(ground, 'own', victim.library),
      ),
      both: once(async () =>
        ownDatabases(made)
          ? arenaOn(ground, 'both', await openRouted(made, opened, weakness, { victim: ground, own: await own() }))
          : arenaOn(ground, 'both', await openAtHome(made, opened, victim, weakness)),
      ),
    }
    return {
      ...victim,
      at: async (place) => {
        if (place !== 'victim' && made.pair.attacker !== made.pair.victim)
          throw new Error(`Cannot attack at "${place}": the two tenants live in different models`)
        return places[place]()
      },
      close: () => opened.close(),
    }
  } catch (error) {
    await opened.close()
    throw error
  }
}

/** Databases are copied for attacks that need them, and most runs have none of those. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}

const ownDatabases = ({ templates }: Made): boolean => templates.own !== undefined

async function openGround(
  made: Made,
  opened: Opened,
  template: string,
  kind: 'whole' | 'bare',
  weakness: Weakness | undefined,
  change: string | undefined,
): Promise<Ground> {
  const name = await made.server.create(template)
  opened.add(name, () => made.server.drop(name))
  const admin = await connect(onDatabase(made.adminUrl, name))
  opened.add(admin, () => admin.end())
  if (change !== undefined) await admin.query(change)
  if (kind === 'bare') await strip(admin, eachFacts(made))
  if (weakness !== undefined) await weaken(admin, weakness, made)
  return { name, admin, appUrl: onDatabase(made.appUrl, name) }
}

/** The library whose registry leads to this database: whoever it sends here, the database itself has to judge. */
async function openLibrary(made: Made, opened: Opened, url: string, weakness: Weakness | undefined): Promise<Library> {
  const honest = await openRowhouseLibrary(url, made.rootKey)
  opened.add(honest, honest.close)
  if (weakness?.library !== 'careless') return honest
  const careless = openCarelessLibrary(url, sealsOf(honest))
  return opened.add(careless, careless.close)
}

/** The same in front of tenants that are both at home: careless code finds their schemas, too. */
async function openAtHome(
  { rootKey, homes }: Made,
  opened: Opened,
  { appUrl, library }: Arena,
  weakness: Weakness | undefined,
): Promise<Library> {
  if (weakness?.library !== 'careless' || homes.victim === undefined) return library
  const honest = await openRowhouseLibrary(appUrl, rootKey)
  opened.add(honest, honest.close)
  const homeOf = ({ id }: TenantRef) => (id === ATTACKER.id ? homes.attacker : homes.victim)
  const careless = openCarelessLibrary(appUrl, sealsOf(honest), homeOf)
  return opened.add(careless, careless.close)
}

/** The library in front of a database per tenant, with a central one that says which is whose. */
async function openRouted(
  made: Made,
  opened: Opened,
  weakness: Weakness | undefined,
  grounds: { readonly victim: Ground; readonly own: Ground },
): Promise<Library> {
  const central = await made.server.create(made.templates.central)
  opened.add(central, () => made.server.drop(central))
  await onConnection(
    onDatabase(made.adminUrl, central),
    (admin) => placeInDatabases(admin, [ATTACKER, grounds.own.name], [VICTIM, grounds.victim.name]),
    NAMED,
  )
  const honest = await openRowhouseLibrary(onDatabase(made.appUrl, central), made.rootKey)
  opened.add(honest, honest.close)
  if (weakness?.library !== 'careless') return honest
  const homes = [
    [ATTACKER.id, grounds.own],
    [VICTIM.id, grounds.victim],
  ] as const
  const forgetful = openForgetfulRouter(
    new Map(homes.map(([id, { appUrl }]) => [id, openCarelessLibrary(appUrl, sealsOf(honest))])),
  )
  return opened.add(forgetful, forgetful.close)
}

function sealsOf(library: Library): (tenant: TenantRef) => Promise<string> {
  return async (tenant) => String((await library.contextOf(tenant))[0]?.values[0])
}

function rawOf(made: Made, { name, appUrl }: Ground, weakness: Weakness | undefined): Arena['raw'] {
  const url = weakness?.superuser === true ? onDatabase(made.adminUrl, name) : appUrl
  return (fn, options) => onConnection(url, fn, { ...NAMED, ...(options === undefined ? {} : { options }) })
}

export async function openAlone(made: Made, change: string | undefined): Promise<Alone> {
  const opened = new Opened()
  const name = await made.server.create(made.templates.victim)
  opened.add(name, () => made.server.drop(name))
  const prepare = async (client: Client) => {
    if (change !== undefined) await client.query(change)
    await claimHere(client, ATTACKER)
    for (const facts of eachFacts(made)) await removeTenant(client, facts, VICTIM)
  }
  await onConnection(onDatabase(made.adminUrl, name), prepare, NAMED)
  const library = await openRowhouseLibrary(onDatabase(made.appUrl, name), made.rootKey)
  opened.add(library, library.close)
  return { library, close: () => opened.close() }
}

/** The shared tables, and those of homes where there are some. */
function eachFacts({ facts, scenes }: Made): SchemaFacts[] {
  return [...new Set([facts, scenes.victim.facts, scenes.own.facts])]
}

async function weaken(admin: Client, weakness: Weakness, made: Made): Promise<void> {
  await admin.query('set session_replication_role = replica')
  // What cannot be weakened here leaves a control that does not succeed, and is reported as such.
  for (const facts of eachFacts(made))
    for (const sql of weakness.sql(facts, quoted(made.app), { attacker: ATTACKER, victim: VICTIM }))
      await admin.query(sql).catch(() => {})
  await admin.query('set session_replication_role = origin')
}

/** Takes away what would stop a write by accident: keys, foreign keys, triggers and rules. Policies and rights stay as they are. */
export async function strip(admin: Client, facts: readonly SchemaFacts[]): Promise<void> {
  const tables = new Set(facts.flatMap((each) => each.tables.map(({ name }) => name)))
  for (const name of tables) await admin.query(`alter table ${name} disable trigger user`).catch(() => {})
  const { rows } = await admin.query<{ sql: string }>(STRIP_SQL)
  for (const { sql } of rows) await admin.query(sql)
}

const STRIP_SQL = `
  with ours as (select c.oid, format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 where c.relkind in ('r', 'p') and n.nspname not in ('rowhouse', 'information_schema') and n.nspname !~ '^pg_')
  select * from (
    select format('alter table %s drop constraint if exists %I cascade', o.name, k.conname) as sql, case k.contype when 'f' then 1 else 2 end as place
      from pg_constraint k join ours o on o.oid = k.conrelid where k.contype in ('f', 'p', 'u', 'x') and k.conparentid = 0
    union all
    select format('drop rule %I on %s', w.rulename, o.name), 3 from pg_rewrite w join ours o on o.oid = w.ev_class where w.rulename <> '_RETURN'
    union all
    select format('drop index %s', i.indexrelid::regclass), 3
      from pg_index i join ours o on o.oid = i.indrelid where i.indisunique
       and not exists (select from pg_constraint k where k.conindid = i.indexrelid) and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid)) x
   order by place`
