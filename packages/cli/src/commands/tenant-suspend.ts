import { hostname, userInfo } from 'node:os'
import { buildCommand } from '@stricli/core'
import type { Lifecycle, LifecycleFacts, SuspensionKind } from 'rowhouse-server'
import { type AdminFlags, adminUrlFileFlag, type Context, command, type Io, jsonFlag } from '../command.ts'
import { withRegistry } from '../control-plane.ts'
import { printJson } from '../print.ts'

export interface ActorFlags extends AdminFlags {
  readonly by?: string
}

/** Flags of every command that changes a tenant's life: who does it is written down. */
export const actorFlags = {
  json: jsonFlag,
  adminUrlFile: adminUrlFileFlag,
  by: {
    kind: 'parsed',
    parse: String,
    optional: true,
    brief: 'Who does it [default = login@host]',
    placeholder: 'name',
  },
} as const

export const tenantPosition = {
  kind: 'tuple',
  parameters: [{ parse: String, brief: 'Slug or id', placeholder: 'tenant' }],
} as const

export function actorOf({ by }: ActorFlags): string {
  return by ?? `${userInfo().username}@${hostname()}`
}

/** Opens what a tenant's life is changed with, without the journal. */
export function withLifecycle<T>(io: Io, flags: AdminFlags, work: (lifecycle: Lifecycle) => Promise<T>): Promise<T> {
  return withRegistry(io, flags, ({ lifecycle }) => work(lifecycle))
}

/** Returns what `tenant show` says besides the registry's row. */
export async function readLifecycle(io: Io, flags: AdminFlags, id: string) {
  const { region, suspension, offboarding, holds } = await withLifecycle(io, flags, (lifecycle) => lifecycle.show(id))
  return { region, suspension, offboarding, holds }
}

/** Prints a tenant's life as one line, or as one JSON object. */
export function printLife(io: Io, facts: LifecycleFacts, json: boolean): void {
  if (json) {
    printJson(io, facts)
    return
  }
  const { slug, state, plan, suspension } = facts
  const why = suspension === undefined ? '' : ` (${suspension.kind}: ${suspension.cause}, by ${suspension.by})`
  io.stdout.write(`${slug} is ${state}${why}, plan ${plan}\n`)
}

interface SuspendFlags extends ActorFlags {
  readonly kind: SuspensionKind
  readonly cause?: string
}

export const suspendCommand = buildCommand<SuspendFlags, [string], Context>({
  func: command<SuspendFlags, [string]>(async (io, flags, name) => {
    const { kind, cause = 'no cause was given' } = flags
    const request = { kind, cause, by: actorOf(flags) }
    printLife(io, await withLifecycle(io, flags, (lifecycle) => lifecycle.suspend(name, request)), flags.json)
  }),
  parameters: {
    flags: {
      ...actorFlags,
      kind: {
        kind: 'enum',
        values: ['unpaid', 'abuse', 'request', 'security', 'other'],
        default: 'other',
        brief: 'Kind of cause',
      },
      cause: { kind: 'parsed', parse: String, optional: true, brief: 'Why, for people', placeholder: 'text' },
    },
    positional: tenantPosition,
  },
  docs: {
    brief: 'Refuse every statement of a tenant from now on',
    fullDescription:
      'Within a second, in the database the tenant lives in: also for processes that do not know yet, and for sessions that are open. Data stays.',
  },
})

export const resumeCommand = buildCommand<ActorFlags, [string], Context>({
  func: command<ActorFlags, [string]>(async (io, flags, name) => {
    const request = { by: actorOf(flags) }
    printLife(io, await withLifecycle(io, flags, (lifecycle) => lifecycle.resume(name, request)), flags.json)
  }),
  parameters: { flags: actorFlags, positional: tenantPosition },
  docs: { brief: 'Serve a suspended tenant again' },
})

export const setPlanCommand = buildCommand<ActorFlags, [string, string], Context>({
  func: command<ActorFlags, [string, string]>(async (io, flags, name, plan) => {
    const request = { plan, by: actorOf(flags) }
    printLife(io, await withLifecycle(io, flags, (lifecycle) => lifecycle.setPlan(name, request)), flags.json)
  }),
  parameters: {
    flags: actorFlags,
    positional: {
      kind: 'tuple',
      parameters: [
        { parse: String, brief: 'Slug or id', placeholder: 'tenant' },
        { parse: String, brief: 'What it pays for from now on', placeholder: 'plan' },
      ],
    },
  },
  docs: { brief: 'Change the plan of a tenant, e.g. from trial to paid; everything else stays' },
})

interface RegionFlags extends ActorFlags {
  readonly reason: string
}

export const setRegionCommand = buildCommand<RegionFlags, [string, string], Context>({
  func: command<RegionFlags, [string, string]>(async (io, flags, name, region) => {
    const change = { region: region === 'any' ? undefined : region, reason: flags.reason, by: actorOf(flags) }
    const facts = await withLifecycle(io, flags, (lifecycle) => lifecycle.setRegion(name, change))
    if (flags.json) printJson(io, facts)
    else io.stdout.write(`${facts.slug} ${regionText(facts)}\n`)
  }),
  parameters: {
    flags: {
      ...actorFlags,
      reason: { kind: 'parsed', parse: String, brief: 'Why, for people', placeholder: 'text' },
    },
    positional: {
      kind: 'tuple',
      parameters: [
        { parse: String, brief: 'Slug or id', placeholder: 'tenant' },
        { parse: String, brief: 'Region of a server, or "any"', placeholder: 'region' },
      ],
    },
  },
  docs: { brief: 'Change the region a tenant may not leave; nothing is moved' },
})

function regionText({ region, livesIn }: LifecycleFacts): string {
  if (region === undefined) return `may live in any region; it lives in ${livesIn}`
  if (region === livesIn) return `may not leave region ${region}, where it lives`
  return `may not leave region ${region}; it lives in ${livesIn}: move it to a server of that region`
}
