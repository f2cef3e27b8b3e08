import { PlacementError, type ServerMisfit } from 'rowhouse'
import type { DecidedTarget } from './decide-target.ts'
import type { ServerNow } from './placement-request.ts'

/**
 * Chooses the server with the least load among those that fit: tenants ÷ capacity, where no capacity counts as no load;
 * then fewest databases for a database of its own, fewest tenants, first by name. So the same snapshot yields the same server.
 *
 * @throws {PlacementError} `ERR_PLACEMENT_IMPOSSIBLE` when none fits, with the reasons per server
 */
export function chooseServer(target: DecidedTarget, servers: readonly ServerNow[], slug: string): ServerNow {
  const fitting = servers.filter((server) => findMisfits(target, server).length === 0)
  const [best] = fitting.toSorted((a, b) => compare(a, b, target))
  if (best !== undefined) return best
  const misfits = servers.map((server): ServerMisfit => ({ server: server.name, reasons: findMisfits(target, server) }))
  const reasons = misfits.map(({ server, reasons }) => `server "${server}" ${reasons.join(' and ')}`)
  const message = `Cannot place tenant "${slug}": wanted ${describeTarget(target)}, and no server fits: ${reasons.join('; ') || 'no server is registered'}`
  throw new PlacementError('ERR_PLACEMENT_IMPOSSIBLE', message, { servers: misfits })
}

/** Returns every reason why a server does not take the tenant; empty when it does. */
export function findMisfits(target: DecidedTarget, server: ServerNow): string[] {
  const { name, region, kind, state, capacity, tenants } = server
  const reasons: string[] = []
  if (target.server !== undefined && name !== target.server) reasons.push(`is not "${target.server}"`)
  if (target.region !== undefined && region !== target.region) reasons.push(`is in region "${region}"`)
  if (target.kind !== undefined && kind !== target.kind) reasons.push(`is of kind "${kind}"`)
  if (kind === 'citus' && target.model !== 'pooled') reasons.push('takes pooled tenants only')
  if (state !== 'active') reasons.push(`is ${state}`)
  if (capacity !== null && tenants >= capacity) reasons.push(`is full (${tenants} of ${capacity} tenants)`)
  return reasons
}

function compare(a: ServerNow, b: ServerNow, { model }: DecidedTarget): number {
  const databases = model === 'database' ? (a.databases ?? 0) - (b.databases ?? 0) : 0
  // Names are compared by code unit: the order of a locale would differ between machines.
  return loadOf(a) - loadOf(b) || databases || a.tenants - b.tenants || (a.name < b.name ? -1 : 1)
}

function loadOf({ tenants, capacity }: ServerNow): number {
  return capacity === null ? 0 : tenants / capacity
}

function describeTarget({ model, region, server, kind, why }: DecidedTarget): string {
  const parts = [
    `model "${model}"`,
    region === undefined ? 'any region' : `region "${region}"`,
    ...(server === undefined ? [] : [`server "${server}"`]),
    ...(kind === undefined ? [] : [`kind "${kind}"`]),
  ]
  return `${parts.join(', ')} (${why})`
}
