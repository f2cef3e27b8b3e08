import { isRowhouseError, PlacementError } from 'rowhouse'
import { findMisfits } from '../placing/choose-server.ts'
import type { CompiledRules } from '../placing/compile-rules.ts'
import { decideTarget, findBreach } from '../placing/decide-target.ts'
import type { TenantToPlace } from '../placing/placement-request.ts'
import { listServers, type RegisteredServer } from '../registry/servers.ts'
import type { MoveHome, Runner } from './move-record.ts'
import { impossible } from './preflight.ts'

/** What a move is held to besides what is technically possible. */
export interface Allowance {
  /** Where the data lie now and where they would. */
  readonly regions: { readonly from: string; readonly to: string }
  /** True when the tenant leaves the region its data may not leave, because somebody said so. */
  readonly leavesRegion: boolean
  /** What speaks against the move and does not forbid it, for people. */
  readonly warnings: readonly string[]
}

interface PromisesRow {
  readonly slug: string
  readonly plan: string
  readonly region: string | null
  readonly compliance: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly held: boolean
  /** Tenants that are on their way to the target and not counted there yet. */
  readonly coming: number
}

const PROMISES = `
  select t.slug, t.plan, t.region, t.compliance, t.labels, rowhouse.is_held(t.id) as held,
         (select count(*)::int from rowhouse.move m
           where m.target ->> 'server' = $2 and m.source ->> 'server' <> $2 and m.tenant_id <> t.id
             and m.state in ('planned', 'preparing', 'copying', 'catching-up', 'cutting')) as coming
    from rowhouse.tenant t where t.id = $1`

/**
 * Holds a move to what was promised of the tenant and to the rules that bind, as its provisioning was held to them: its
 * region, unless the operator says otherwise and that is written down; binding rules; the capacity of the server. Rules that
 * do not bind only warn, because a move is made by somebody who had a reason.
 *
 * @param rows  rows of the tenant, for rules that ask how large it is
 * @throws {TenantError} `ERR_MOVE_IMPOSSIBLE` saying what stands in the way
 */
export async function assertAllowed(
  central: Runner,
  rules: CompiledRules,
  { id, source, target }: { readonly id: string; readonly source: MoveHome; readonly target: MoveHome },
  { outsideRegion, rows }: { readonly outsideRegion: boolean; readonly rows: number },
): Promise<Allowance> {
  const servers = await listServers(central)
  const [from, to] = [source, target].map(({ server }) => servers.find(({ name }) => name === server))
  if (from === undefined || to === undefined) throw impossible(`the registry knows no server "${target.server}"`)
  const promises = (await central.query<PromisesRow>(PROMISES, [id, target.server])).rows[0] as PromisesRow
  const regions = { from: from.region, to: to.region }
  assertRegion(promises, to, outsideRegion)
  assertRoom(from, to, promises.coming)
  const tenant = toTenant(promises, rows, outsideRegion)
  assertBinding(rules, tenant, target, to)
  const leavesRegion = promises.region !== null && promises.region !== to.region
  return { regions, leavesRegion, warnings: [...findWarnings(rules, tenant, target, to), ...warnOf(promises, to)] }
}

function assertRegion({ region }: PromisesRow, to: RegisteredServer, outsideRegion: boolean): void {
  if (region === null || region === to.region || outsideRegion) return
  throw impossible(
    `its data may not leave region "${region}", and server "${to.name}" is in region "${to.region}"; change the region with "rowhouse tenant set-region", or move it with --outside-region, which is written down`,
  )
}

function assertRoom(from: RegisteredServer, to: RegisteredServer, coming: number): void {
  if (from.name === to.name || to.capacity === null || to.tenants + coming < to.capacity) return
  const others = coming === 0 ? '' : ` and ${coming} on their way`
  throw impossible(`server "${to.name}" is full (${to.tenants} of ${to.capacity} tenants${others})`)
}

function assertBinding(rules: CompiledRules, tenant: TenantToPlace, { model }: MoveHome, to: RegisteredServer): void {
  const breach = answerOf(() => findBreach(rules, tenant, { model, region: to.region, server: to.name, kind: to.kind }))
  if (breach instanceof PlacementError) throw impossible(breach.message)
  if (breach !== undefined) throw impossible(`${breach}; change the rule, or what it asks about`)
}

function findWarnings(
  rules: CompiledRules,
  tenant: TenantToPlace,
  { model }: MoveHome,
  to: RegisteredServer,
): readonly string[] {
  const decision = answerOf(() => decideTarget(rules, { tenant }))
  if (decision instanceof PlacementError) return [`the placement rules have no answer: ${decision.message}`]
  const { target } = decision
  const misfits = [
    ...(target.model === model ? [] : [`wanted model "${target.model}"`]),
    // Where it goes counts as taken, and a full server was refused before.
    ...findMisfits({ ...target, model }, { ...to, capacity: null }).map((misfit) => `server "${to.name}" ${misfit}`),
  ]
  return misfits.length === 0 ? [] : [`the placement rules choose otherwise: ${misfits.join(' and ')} (${target.why})`]
}

function warnOf({ held, region }: PromisesRow, to: RegisteredServer): readonly string[] {
  return [
    ...(region === null || region === to.region ? [] : [`it leaves region "${region}", which is written down`]),
    ...(held ? ['it is under legal hold: the old home is kept until two people lift it'] : []),
  ]
}

/** A region that is left on purpose is nothing the rules could still insist on. */
function toTenant({ slug, plan, region, compliance, labels }: PromisesRow, rows: number, out: boolean): TenantToPlace {
  return { slug, plan, region: out ? '' : (region ?? ''), compliance, expectedRows: rows, labels }
}

/** What rules refuse is part of the answer here; anything else is a fault. */
function answerOf<T>(ask: () => T): T | PlacementError {
  try {
    return ask()
  } catch (error) {
    if (isRowhouseError(error) && error instanceof PlacementError) return error
    throw error
  }
}
