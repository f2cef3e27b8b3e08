/** Sets the stage: a scratch copy of a schema with rows in it, and copies of that copy, intact and weakened. */

import { randomBytes } from 'node:crypto'
import { ConfigError } from 'rowhouse'
import { createTenantAdmin, install } from 'rowhouse/install'
import { applyStage, findUncloned, type Refused, type Uncloned } from '../clone/clone-schema.ts'
import { homeStatements, readSharedNames, type SharedNames } from '../clone/home-statements.ts'
import { readSchemaStatements, type SchemaStatement } from '../clone/schema-statements.ts'
import {
  connect,
  onDatabase,
  openScratchServer,
  requireSuperuser,
  type ScratchServer,
} from '../clone/scratch-database.ts'
import { type Survey, takeSurvey } from '../doctor/survey.ts'
import { planRows, type RowPlan } from '../seed/row-plan.ts'
import { readSchemaFacts, type SchemaFacts } from '../seed/schema-facts.ts'
import { seedRows } from '../seed/seed-rows.ts'
import type { Credentials, TenantRef } from './arena.ts'
import { BOTH_POOLED, type Pair, type Place, type Scene, setScenes } from './placing.ts'
import { type Alone, type Made, type OpenArena, openAlone, openArena, type StageOptions } from './stage-arena.ts'
import {
  ATTACKER,
  homesOf,
  houseTenant,
  layOut,
  moveRows,
  type TenantHome,
  tenantsWithHomes,
  VICTIM,
} from './stage-tenants.ts'
import type { WeaknessId } from './weaknesses.ts'

export interface Stage {
  readonly survey: Survey
  readonly pair: Pair
  /** As the schema is judged, wherever its tenants live. */
  readonly facts: SchemaFacts
  readonly scenes: Readonly<Record<Place, Scene>>
  /** What the scratch database lacks of the original: never empty without a reason, and always reported. */
  readonly uncloned: readonly Uncloned[]
  /** @param change  SQL of the superuser that is run on the copy first */
  openArena(kind: 'whole' | 'bare', weakness?: WeaknessId, change?: string): Promise<OpenArena>
  /** Removes every database it made. Safe to call twice. */
  close(): Promise<void>
}

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
    const pair = options.pair ?? BOTH_POOLED
    const homes = homesOf(pair)
    const shared = await readSharedNames(source, facts)
    const whole = await server.create()
    const { empty, ...built } = await build(onDatabase(options.adminUrl, whole), {
      statements,
      facts,
      plan,
      rootKey,
      migrations: migrations.rows,
      homes: tenantsWithHomes(homes),
      shared,
    })
    const scenes = setScenes(facts, plan, empty, homes, shared)
    const templates = await layOut(server, options.adminUrl, whole, pair, facts)
    return createStage({ ...options, pair, homes, server, survey, facts, scenes, templates, rootKey, app, ...built })
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
  /** Schemas to make, with whose they are. */
  readonly homes: readonly TenantHome[]
  readonly shared: SharedNames
}

/** Tables, rows, then what guards them: rows of tenants that the guards were never asked about are what attacks need. */
async function build(
  url: string,
  blueprint: Blueprint,
): Promise<Pick<Made, 'uncloned' | 'credentials'> & Pick<Scene, 'empty'>> {
  const { facts, plan, rootKey, migrations, homes, shared } = blueprint
  const statements = [
    ...blueprint.statements,
    ...homes.flatMap(({ schema }) => homeStatements(blueprint.statements, schema, shared)),
  ]
  const client = await connect(url)
  try {
    const late = await applyStage(client, statements, 'structure')
    const empty = await seedRows(client, facts, plan, { attacker: ATTACKER.id, victim: VICTIM.id })
    for (const home of homes) await moveRows(client, facts, home, shared)
    for (const { version, name, sha256, applied_at } of migrations)
      await client.query('insert into rowhouse.migration values ($1, $2, $3, $4)', [version, name, sha256, applied_at])
    await client.query(MAIN_SERVER)
    const open = [...late, ...(await applyStage(client, statements, 'guards'))]
    const rights = await applyStage(client, statements, 'rights')
    const credentials = await admitTenants(url, rootKey)
    for (const home of homes) await houseTenant(client, home)
    // What refers to the tenants themselves could not be made before they were there.
    const refused: Refused[] = []
    for (const stage of ['structure', 'guards', 'rights'] as const)
      refused.push(...(await applyStage(client, [...open, ...rights], stage)))
    await client.query('analyze')
    const uncloned = await findUncloned(client, statements, refused)
    const ofHome = ({ object }: Uncloned) => homes.some(({ schema }) => object.endsWith(`schema ${schema}`))
    return { uncloned: uncloned.filter((one) => !ofHome(one)), empty, credentials }
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

function createStage(made: Made): Stage {
  const arenas = new Set<OpenArena>()
  // The intact schema without the victim is the same for every arena; only one that was changed needs its own.
  let shared: Promise<Alone> | undefined
  return {
    survey: made.survey,
    facts: made.facts,
    pair: made.pair,
    scenes: made.scenes,
    uncloned: made.uncloned,
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
