/** Sets the same stage for a peer as `rowhouse verify` sets for Rowhouse: rows first, then the walls, then copies. */

import { randomBytes } from 'node:crypto'
import type { Client } from 'pg'
import { connect, onDatabase, openScratchServer, type ScratchServer } from '../../src/clone/scratch-database.ts'
import { takeSurvey } from '../../src/doctor/survey.ts'
import { onConnection } from '../../src/operator/on-connection.ts'
import { planRows, type RowPlan } from '../../src/seed/row-plan.ts'
import { readSchemaFacts, type SchemaFacts, type TableFacts } from '../../src/seed/schema-facts.ts'
import { insertSql, seedRows, VICTIM_ONLY } from '../../src/seed/seed-rows.ts'
import type { Arena } from '../../src/verify/arena.ts'
import { strip } from '../../src/verify/stage-arena.ts'
import { ATTACKER, removeTenant, VICTIM } from '../../src/verify/stage-tenants.ts'
import type { Keys, Peer } from './peer.ts'

export interface PeerStage {
  readonly facts: SchemaFacts
  /** Opens the library anew on one of the copies, for one attack: what the one before left is not this one's. */
  withArena<T>(kind: 'whole' | 'bare', fn: (arena: Arena) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** @param keys  `single` seeds the victim alone: two tenants cannot have the same ids where a key knows no tenant */
export async function setPeerStage(adminUrl: string, peer: Peer, schema: string, keys: Keys): Promise<PeerStage> {
  const app = await createLogin(adminUrl)
  let server: ScratchServer | undefined
  const close = async () => {
    await server?.close()
    await onConnection(adminUrl, (client) => client.query(`drop role if exists ${app.name}`))
  }
  try {
    server = await openScratchServer(adminUrl)
    const whole = await server.create()
    const { facts, plan } = await build(onDatabase(adminUrl, whole), peer, schema, keys, app.name)
    const bare = await server.create(whole)
    await onConnection(onDatabase(adminUrl, bare), (client) => strip(client, [facts]))
    const alone = await server.create(whole)
    await onConnection(onDatabase(adminUrl, alone), (client) => removeTenant(client, facts, VICTIM))
    const stage = { adminUrl, peer, facts, plan, app, names: { whole, bare, alone } }
    return { facts, withArena: (kind, fn) => withArena(stage, kind, fn), close }
  } catch (error) {
    await close()
    throw error
  }
}

interface Login {
  readonly name: string
  readonly password: string
}

/** Random, so that runs at the same time do not share it; gone at the end. */
async function createLogin(adminUrl: string): Promise<Login> {
  const name = `rowhouse_peer_${randomBytes(4).toString('hex')}`
  const password = randomBytes(16).toString('hex')
  await onConnection(adminUrl, (client) =>
    client.query(`create role ${name} login nosuperuser nobypassrls password '${password}'`),
  )
  return { name, password }
}

async function build(
  url: string,
  peer: Peer,
  schema: string,
  keys: Keys,
  app: string,
): Promise<{ facts: SchemaFacts; plan: RowPlan }> {
  const client = await connect(url)
  try {
    await client.query('set search_path = public, pg_catalog')
    await client.query(schema)
    const facts = await readSchemaFacts(client, await takeSurvey(client, { appRoles: [app] }), app)
    const plan = planRows(facts)
    await seed(client, facts, plan, keys)
    const tables = tablesOfTenants(facts).map(({ name }) => name.replace(/^public\./, ''))
    await client.query('set search_path = public, pg_catalog')
    await client.query(await peer.walls(tables, [ATTACKER, VICTIM], app))
    await client.query('analyze')
    // What the walls grant came after the facts were read.
    return { facts: { ...facts, tables: facts.tables.map((table) => ({ ...table, readable: true })) }, plan }
  } finally {
    await client.end()
  }
}

async function seed(client: Client, facts: SchemaFacts, plan: RowPlan, keys: Keys): Promise<void> {
  await client.query('set session_replication_role = replica')
  if (keys === 'single') {
    for (const table of tablesOfTenants(facts))
      for (let number = 1; number <= VICTIM_ONLY; number += 1) {
        const row = plan.row(table, VICTIM.id, number)
        if ('reason' in row) throw new Error(`Cannot make a row of ${table.name}: ${row.reason}`)
        await client.query(insertSql(table, row))
      }
  } else {
    const [empty] = await seedRows(client, facts, plan, { attacker: ATTACKER.id, victim: VICTIM.id })
    if (empty !== undefined) throw new Error(`Cannot fill ${empty[0]}: ${empty[1]}`)
  }
  await client.query('set session_replication_role = origin')
}

function tablesOfTenants(facts: SchemaFacts): TableFacts[] {
  return facts.tables.filter(({ tenantColumn }) => tenantColumn !== undefined)
}

interface Standing {
  readonly adminUrl: string
  readonly peer: Peer
  readonly facts: SchemaFacts
  readonly plan: RowPlan
  readonly app: Login
  readonly names: { readonly whole: string; readonly bare: string; readonly alone: string }
}

async function withArena<T>(
  { adminUrl, peer, facts, plan, app, names }: Standing,
  kind: 'whole' | 'bare',
  fn: (arena: Arena) => Promise<T>,
): Promise<T> {
  const url = new URL(adminUrl)
  url.username = app.name
  url.password = app.password
  const appUrl = onDatabase(url.href, names[kind])
  const admin = await connect(onDatabase(adminUrl, names[kind]))
  const library = peer.open(appUrl)
  const alone = peer.open(onDatabase(url.href, names.alone))
  try {
    return await fn({
      library,
      alone,
      admin,
      appUrl,
      facts,
      plan,
      empty: new Map(),
      attacker: ATTACKER,
      victim: VICTIM,
      homes: { attacker: undefined, victim: undefined },
      credentials: { attackerKey: 'none', victimKey: 'none' },
      raw: (act, options) => onConnection(appUrl, act, options === undefined ? {} : { options }),
    })
  } finally {
    await library.close()
    await alone.close()
    await admin.end()
  }
}
