/** Sets the stage: a scratch copy of a schema with rows in it, and copies of that copy, intact and weakened. */

import { randomBytes } from 'node:crypto'
import type { Client } from 'pg'
import { ConfigError } from 'rowhouse'
import { createTenantAdmin, install } from 'rowhouse/install'
import { applyStage, findUncloned, type Refused, type Uncloned } from '../clone/clone-schema.ts'
import { readSchemaStatements, type SchemaStatement } from '../clone/schema-statements.ts'
import {
  connect,
  onDatabase,
  openScratchServer,
  requireSuperuser,
  type ScratchServer,
} from '../clone/scratch-database.ts'
import { type Survey, takeSurvey } from '../doctor/survey.ts'
import { onConnection } from '../operator/on-connection.ts'
import { planRows, type RowPlan } from '../seed/row-plan.ts'
import { readSchemaFacts, type SchemaFacts } from '../seed/schema-facts.ts'
import { quoted, seedRows } from '../seed/seed-rows.ts'
import type { Arena, Credentials, Library, TenantRef } from './arena.ts'
import { openCarelessLibrary } from './careless-library.ts'
import { openRowhouseLibrary } from './rowhouse-library.ts'
import { WEAKNESSES, type Weakness, type WeaknessId } from './weaknesses.ts'

export interface StageOptions {
  /** Login of a superuser, on the database whose schema is judged. Nothing is written there. */
  readonly adminUrl: string
  /** The application's own login. */
  readonly appUrl: string
}

export interface Stage {
  readonly survey: Survey
  readonly facts: SchemaFacts
  /** What the scratch database lacks of the original: never empty without a reason, and always reported. */
  readonly uncloned: readonly Uncloned[]
  readonly empty: ReadonlyMap<string, string>
  /** @param change  SQL of the superuser that is run on the copy first */
  openArena(kind: 'whole' | 'bare', weakness?: WeaknessId, change?: string): Promise<OpenArena>
  /** Removes every database it made. Safe to call twice. */
  close(): Promise<void>
}

export interface OpenArena extends Arena {
  close(): Promise<void>
}

const NAMED = { application_name: 'rowhouse-verify' } as const

/** Fixed, so that rows and reports are the same in every run. */
export const ATTACKER: TenantRef = { id: '0a77ac00-0000-4000-8000-00000000000a', slug: 'verify-attacker' }
export const VICTIM: TenantRef = { id: '0b0b0b00-0000-4000-8000-00000000000b', slug: 'verify-victim' }

export async function setStage(options: StageOptions): Promise<Stage> {
  const rootKey = randomBytes(32).toString('hex')
  const source = await connect(options.adminUrl)
  let server: ScratchServer | undefined
  try {
    const app = decodeURIComponent(new URL(options.appUrl).username)
    await requireSuperuser(source)
    const survey = await takeSurvey(source, { appRoles: [app] })
    if (survey.installed === undefined) {
      throw new ConfigError(
        'ERR_NOT_INSTALLED',
        `Cannot attack database "${survey.database}": Rowhouse is not installed in it; run "rowhouse install" first`,
      )
    }
    const statements = await readSchemaStatements(source)
    const facts = await readSchemaFacts(source, survey, app)
    const migrations = await source.query(
      'select version, name, sha256, applied_at from rowhouse.migration order by version',
    )
    server = await openScratchServer(options.adminUrl)
    const plan = planRows(facts)
    const whole = await server.create()
    const built = await build(onDatabase(options.adminUrl, whole), {
      statements,
      facts,
      plan,
      rootKey,
      migrations: migrations.rows,
    })
    return createStage({ ...options, server, survey, facts, plan, whole, rootKey, app, ...built })
  } catch (error) {
    await server?.close()
    throw error
  } finally {
    await source.end()
  }
}

interface Blueprint {
  readonly statements: readonly SchemaStatement[]
  readonly facts: SchemaFacts
  readonly plan: RowPlan
  readonly rootKey: string
  readonly migrations: readonly { version: number; name: string; sha256: string; applied_at: Date }[]
}

/** Tables, rows, then what guards them: rows of tenants that the guards were never asked about are what attacks need. */
async function build(url: string, blueprint: Blueprint): Promise<Pick<Made, 'uncloned' | 'empty' | 'credentials'>> {
  const { statements, facts, plan, rootKey, migrations } = blueprint
  const client = await connect(url)
  try {
    const late = await applyStage(client, statements, 'structure')
    const empty = await seedRows(client, facts, plan, { attacker: ATTACKER.id, victim: VICTIM.id })
    for (const { version, name, sha256, applied_at } of migrations)
      await client.query('insert into rowhouse.migration values ($1, $2, $3, $4)', [version, name, sha256, applied_at])
    await client.query(MAIN_SERVER)
    const open = [...late, ...(await applyStage(client, statements, 'guards'))]
    const rights = await applyStage(client, statements, 'rights')
    const credentials = await admitTenants(url, rootKey)
    // What refers to the tenants themselves could not be made before they were there.
    const refused: Refused[] = []
    for (const stage of ['structure', 'guards', 'rights'] as const)
      refused.push(...(await applyStage(client, [...open, ...rights], stage)))
    await client.query('analyze')
    return { uncloned: await findUncloned(client, statements, refused), empty, credentials }
  } finally {
    await client.end()
  }
}

/** The only row Rowhouse's own schema comes with: the server this database is on, where tenants are placed. */
const MAIN_SERVER = `do $$ begin
  if to_regclass('rowhouse.server') is not null then
    insert into rowhouse.server (name, region) values ('main', 'local') on conflict do nothing;
  end if;
end $$`

async function admitTenants(url: string, rootKey: string): Promise<Credentials> {
  await install({ url, rootKey })
  const tenants = createTenantAdmin({ url, rootKey })
  try {
    for (const { id, slug } of [ATTACKER, VICTIM]) await tenants.create({ id, slug, name: slug })
    const keyOf = async ({ slug }: TenantRef) => (await tenants.createApiKey(slug, { name: 'verify' })).key
    return { attackerKey: await keyOf(ATTACKER), victimKey: await keyOf(VICTIM) }
  } finally {
    await tenants.close()
  }
}

interface Made extends StageOptions {
  readonly server: ScratchServer
  readonly survey: Survey
  readonly facts: SchemaFacts
  readonly plan: RowPlan
  readonly whole: string
  readonly rootKey: string
  readonly app: string
  readonly uncloned: readonly Uncloned[]
  readonly empty: ReadonlyMap<string, string>
  readonly credentials: Credentials
}

function createStage(made: Made): Stage {
  const arenas = new Set<OpenArena>()
  // The intact schema without the victim is the same for every arena; only one that was changed needs its own.
  let shared: Promise<Alone> | undefined
  return {
    survey: made.survey,
    facts: made.facts,
    uncloned: made.uncloned,
    empty: made.empty,
    async openArena(kind, weakness, change) {
      shared ??= openAlone(made, undefined)
      const arena = await openArena(made, kind, weakness, change, await shared)
      arenas.add(arena)
      const close = async () => {
        arenas.delete(arena)
        await arena.close()
      }
      return { ...arena, close }
    },
    async close() {
      try {
        for (const arena of arenas) await arena.close()
        await (await shared?.catch(() => undefined))?.close()
      } finally {
        await made.server.close()
      }
    },
  }
}

async function openArena(
  made: Made,
  kind: 'whole' | 'bare',
  weaknessId: WeaknessId | undefined,
  change: string | undefined,
  shared: Alone,
): Promise<OpenArena> {
  const weakness: Weakness | undefined = weaknessId === undefined ? undefined : WEAKNESSES[weaknessId]
  const name = await made.server.create(made.whole)
  const admin = await connect(onDatabase(made.adminUrl, name))
  const appUrl = onDatabase(made.appUrl, name)
  const opened: Library[] = []
  const close = async () => {
    for (const library of opened) await library.close()
    await admin.end()
    await made.server.drop(name)
  }
  try {
    if (change !== undefined) await admin.query(change)
    if (kind === 'bare') await strip(admin, made.facts)
    if (weakness !== undefined) await weaken(admin, weakness, made)
    const honest = await openRowhouseLibrary(appUrl, made.rootKey)
    opened.push(honest)
    const own = change === undefined ? undefined : await openAlone(made, change)
    const alone = own?.library ?? shared.library
    if (own !== undefined) opened.push({ ...own.library, close: own.close })
    const library =
      weakness?.library === 'careless'
        ? openCarelessLibrary(appUrl, async (tenant) => String((await honest.contextOf(tenant))[0]?.values[0]))
        : honest
    if (library !== honest) opened.push(library)
    const rawUrl = weakness?.superuser === true ? onDatabase(made.adminUrl, name) : appUrl
    return {
      library,
      alone,
      admin,
      appUrl,
      facts: made.facts,
      plan: made.plan,
      empty: made.empty,
      attacker: ATTACKER,
      victim: VICTIM,
      credentials: made.credentials,
      raw: (fn, options) => onConnection(rawUrl, fn, { ...NAMED, ...(options === undefined ? {} : { options }) }),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The schema with the attacker's rows and nobody else's. */
interface Alone {
  readonly library: Library
  close(): Promise<void>
}

async function openAlone(made: Made, change: string | undefined): Promise<Alone> {
  const name = await made.server.create(made.whole)
  const prepare = async (client: Client) => {
    if (change !== undefined) await client.query(change)
    await removeVictim(client, made.facts)
  }
  await onConnection(onDatabase(made.adminUrl, name), prepare, NAMED)
  const library = await openRowhouseLibrary(onDatabase(made.appUrl, name), made.rootKey)
  const close = async () => {
    await library.close()
    await made.server.drop(name)
  }
  return { library, close }
}

async function weaken(admin: Client, weakness: Weakness, { facts, app }: Made): Promise<void> {
  await admin.query('set session_replication_role = replica')
  // What cannot be weakened here leaves a control that does not succeed, and is reported as such.
  for (const sql of weakness.sql(facts, quoted(app), { attacker: ATTACKER, victim: VICTIM }))
    await admin.query(sql).catch(() => {})
  await admin.query('set session_replication_role = origin')
}

/** Takes away what would stop a write by accident: keys, foreign keys, triggers and rules. Policies and rights stay as they are. */
export async function strip(admin: Client, facts: SchemaFacts): Promise<void> {
  for (const { name } of facts.tables) await admin.query(`alter table ${name} disable trigger user`)
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

export async function removeVictim(client: Client, facts: SchemaFacts): Promise<void> {
  await client.query('set session_replication_role = replica')
  for (const { name, tenantColumn, partition } of facts.tables)
    if (tenantColumn !== undefined && !partition)
      await client.query(`delete from ${name} where ${quoted(tenantColumn)}::text = $1`, [VICTIM.id])
  // As the superuser, whom no policy stops; one that is made of another is right after the second time.
  const refresh = facts.materializedViews.map(({ name }) => name)
  for (const name of [...refresh, ...refresh]) await client.query(refreshSql(name)).catch(() => {})
}

function refreshSql(view: string): string {
  return `do $$ declare was text := (select relowner::regrole from pg_catalog.pg_class where oid = '${view.replaceAll("'", "''")}'::regclass);
  begin
    alter materialized view ${view} owner to current_user;
    refresh materialized view ${view};
    execute pg_catalog.format('alter materialized view ${view.replaceAll("'", "''").replaceAll('%', '%%')} owner to %s', was);
  end $$`
}
