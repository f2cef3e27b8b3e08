import type { RegisteredTenant } from 'rowhouse/install'
import type { LifecycleFacts } from 'rowhouse-server'
import type { Io } from './command.ts'
import { printJson, printRows } from './print.ts'
import { toned } from './terminal.ts'

const COLUMNS = ['slug', 'name', 'state', 'plan', 'ring', 'model', 'server', 'home', 'since']

/** Prints tenants as a table with where each lives, or as one JSON list. */
export function printTenants(io: Io, tenants: readonly RegisteredTenant[], json: boolean): void {
  if (json) printJson(io, tenants)
  else printRows(io, tenants.map(toRow), COLUMNS)
}

/** Prints one tenant as a table of one line, or as one JSON object. */
export function printTenant(io: Io, tenant: RegisteredTenant, json: boolean): void {
  if (json) printJson(io, tenant)
  else printRows(io, [toRow(tenant)], COLUMNS)
}

/** Prints everything the registry says of a tenant, one fact a line. */
export function printTenantFacts(
  io: Io,
  tenant: RegisteredTenant,
  life: Pick<LifecycleFacts, 'region' | 'suspension' | 'offboarding' | 'holds'>,
): void {
  const { oldKeyAccepted, epoch, keyVersion } = tenant
  const { since: _, ...row } = toRow(tenant)
  const old = oldKeyAccepted === true ? ', the one before is still accepted' : ''
  const facts = {
    ...row,
    id: tenant.id,
    since: tenant.createdAt.toISOString(),
    epoch: `${epoch}`,
    key: `version ${keyVersion}${old}`,
    ...lifeText(life),
  }
  const width = Math.max(...Object.keys(facts).map((fact) => fact.length))
  for (const [fact, value] of Object.entries(facts))
    io.stdout.write(`${toned(io, io.stdout, 'dim', fact.padEnd(width))}  ${value}\n`)
}

function lifeText({
  region,
  suspension,
  offboarding,
  holds,
}: Pick<LifecycleFacts, 'region' | 'suspension' | 'offboarding' | 'holds'>) {
  const { retainUntil } = offboarding ?? {}
  return {
    ...(region !== undefined && { region }),
    ...(suspension !== undefined && {
      suspended: `${suspension.kind}: ${suspension.cause}, by ${suspension.by} at ${suspension.since.toISOString()}`,
    }),
    ...(offboarding !== undefined && {
      leaving: `${offboarding.reason}, by ${offboarding.by}; export: ${offboarding.exportReference ?? 'none'}; retained until ${retainUntil?.toISOString() ?? 'its export has ended'}`,
    }),
    ...(holds.length > 0 && {
      holds: holds
        .map(
          ({ id, reason, placedBy, liftRequestedBy }) =>
            `${id}: ${reason}, by ${placedBy}${liftRequestedBy === undefined ? '' : `; ${liftRequestedBy} asks to lift it`}`,
        )
        .join('; '),
    }),
  }
}

/** Names where a tenant's tables are: `shared tables`, its schema, its database. */
export function homeText({ placement: { schema, database } }: RegisteredTenant): string {
  return schema ?? database ?? 'shared tables'
}

function toRow(tenant: RegisteredTenant) {
  const { slug, name, state, plan, ring, placement, createdAt } = tenant
  const { model, server } = placement
  return {
    slug,
    name,
    state,
    plan,
    ring,
    model,
    server,
    home: homeText(tenant),
    since: createdAt.toISOString().slice(0, 10),
  }
}
