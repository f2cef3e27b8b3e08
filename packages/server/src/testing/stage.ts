import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRowhouse, type Rowhouse, type TenantId } from 'rowhouse'
import type { RegisteredTenant } from 'rowhouse/install'
import { type Backups, openBackups } from '../backup/backups.ts'
import { folderStore } from '../backup/folder-store.ts'
import { type ControlPlane, openControlPlane } from '../control-plane.ts'
import { listTables, quotedTable } from '../lifecycle/tenant-rows.ts'
import { OperatorConnections } from '../registry/operator-connections.ts'
import { type History, newHistory } from './history.ts'
import type { WantedRehearsal } from './rehearsal-options.ts'

/** A tenant made for the rehearsal, and what was written as it. */
export interface ScratchTenant {
  readonly slug: string
  readonly id: TenantId
  readonly history: History
}

/** What a rehearsal is played with; all of it is taken down at its end. */
export interface Stage {
  readonly options: WantedRehearsal
  readonly plane: ControlPlane
  readonly connections: OperatorConnections
  readonly backups: Backups
  /** The application that writes. It may remember where a tenant was. */
  readonly app: Rowhouse
  readonly mover: ScratchTenant
  readonly neighbour: ScratchTenant
  /** Counts the writes of the rehearsal. */
  nextWrite(): number
}

const WHO = { by: 'rehearsal', reason: 'the rehearsal is over' }
/** The hard case: who writes finds out from the database that a tenant lives elsewhere, and from nothing else. */
const BELIEVES_FOR_MS = 3_600_000
const SHARED = { server: 'main', database: undefined }

interface Cleaning {
  readonly what: string
  readonly clean: () => Promise<unknown>
}

/** Sets the stage, and takes it down whatever happens. Returns what could not be removed. */
export async function withStage<T>(
  options: WantedRehearsal,
  play: (stage: Stage) => Promise<T>,
): Promise<{ readonly result: T; readonly left: readonly string[] }> {
  const cleanings: Cleaning[] = []
  let outcome: { readonly result: T } | { readonly error: unknown }
  try {
    outcome = { result: await play(await setStage(options, cleanings)) }
  } catch (error) {
    outcome = { error }
  }
  const left: string[] = []
  for (const { what, clean } of cleanings.toReversed()) {
    await clean().catch((error: Error) => left.push(`${what}: ${error.message}`))
  }
  if ('result' in outcome) return { result: outcome.result, left }
  if (left.length === 0) throw outcome.error
  throw new AggregateError([outcome.error], `Cannot rehearse moves, and this is left behind: ${left.join('; ')}`)
}

async function setStage(options: WantedRehearsal, cleanings: Cleaning[]): Promise<Stage> {
  const { url, rootKey, migrations } = options
  const open = <R extends { close(): Promise<unknown> }>(what: string, resource: R): R => {
    cleanings.push({ what, clean: () => resource.close() })
    return resource
  }
  const plane = options.plane ?? open('the control plane', await openControlPlane({ url, rootKey, migrations }))
  const connections = open('connections', new OperatorConnections(url as string))
  const folder = await mkdtemp(join(tmpdir(), 'rowhouse-rehearsal-'))
  cleanings.push({ what: `folder "${folder}"`, clean: () => rm(folder, { recursive: true }) })
  const store = folderStore(folder)
  const backups = open('backups', await openBackups({ url, rootKey, migrations, store }))
  const app = open('the application', await openApp(options, BELIEVES_FOR_MS))
  await plane.servers.equip('main')
  const stem = `rehearsal-${randomBytes(4).toString('hex')}`
  const make = async (slug: string): Promise<ScratchTenant> => {
    const tools = { plane, connections }
    cleanings.push({ what: `tenant "${slug}"`, clean: () => removeTenant(tools, slug) })
    const { id } = await plane.provision({ slug, wish: { model: 'pooled', server: 'main' } })
    return { slug, id, history: newHistory() }
  }
  const mover = await make(stem)
  const neighbour = await make(`${stem}-neighbour`)
  let writes = 0
  const nextWrite = () => writes++
  return { options, plane, connections, backups, app, mover, neighbour, nextWrite }
}

export function openApp({ appUrl, rootKey }: WantedRehearsal, directoryTtlMs?: number): Promise<Rowhouse> {
  return createRowhouse({ url: appUrl, rootKey, ...(directoryTtlMs !== undefined && { directoryTtlMs }) })
}

export async function requireScratch({ plane }: Pick<Stage, 'plane'>, slug: string): Promise<RegisteredTenant> {
  const found = await plane.tenants.find(slug)
  if (found === undefined) throw new Error(`Cannot go on: tenant "${slug}" of the rehearsal is gone`)
  return found
}

/** Ends what a move that failed has left open, so that the next one can begin. */
export async function settleMoves({ moves }: ControlPlane, slug: string): Promise<void> {
  for (const { id, state } of await moves.list(slug)) {
    if (state === 'switched' || state === 'completing') await moves.complete(id)
    if (state === 'reverting') await moves.revert(id)
  }
}

/** Erases a tenant of the rehearsal, wherever a move that failed has left it. */
async function removeTenant(stage: Pick<Stage, 'plane' | 'connections'>, slug: string): Promise<void> {
  const { plane, connections } = stage
  const found = await plane.tenants.find(slug)
  if (found === undefined || found.state === 'erased') return
  await settleMoves(plane, slug)
  await connections.use(SHARED, async (client) => {
    // Rows of tables without a wall are the platform's, and an erasure leaves them alone: these the rehearsal wrote.
    await client.query('begin; set local session_replication_role = replica; set local row_security = off')
    for (const table of (await listTables(client, false)).filter(({ walled, isView }) => !walled && !isView)) {
      await client.query(`delete from ${quotedTable(table)} where tenant_id::text = $1`, [found.id])
    }
    await client.query('commit')
  })
  await plane.lifecycle.offboard(slug, { ...WHO, retainDays: 0 })
  await plane.lifecycle.erase(slug, { ...WHO, now: true })
}
