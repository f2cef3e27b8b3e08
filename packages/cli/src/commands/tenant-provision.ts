import { buildCommand } from '@stricli/core'
import type { ProvisionedTenant, ProvisioningRequest, StepEvent } from 'rowhouse-server'
import { asTyped, type Context, command, type Io } from '../command.ts'
import { type ConfigFlags, configFlags, withControlPlane } from '../control-plane.ts'
import { printJson } from '../print.ts'
import { homeText } from '../print-tenant.ts'
import { type PlacingFlags, placingFlags, wishOf } from '../tenant-flags.ts'
import { durationText, isForPeople, toned } from '../terminal.ts'

interface Flags extends ConfigFlags, PlacingFlags {
  readonly name?: string
  readonly ring?: string
  readonly adminEmail?: string
  readonly adminName?: string
  readonly key?: string
}

export const provisionCommand = buildCommand<Flags, [string], Context>({
  func: command<Flags, [string]>(async (io, flags, slug) => {
    const request = toRequest(slug, flags)
    const onStep = stepPrinter(io, flags.json, slug)
    const tenant = await withControlPlane(io, flags, (plane) => asTyped(() => plane.provision(request)), { onStep })
    if (isForPeople(io, flags.json)) printHome(io, tenant)
    else printJson(io, { event: 'provisioned', tenant })
  }),
  parameters: {
    flags: {
      ...configFlags,
      name: { kind: 'parsed', parse: String, optional: true, brief: 'Name shown to people [default = the slug]' },
      ring: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'Migrations reach rings one after the other [default = general]',
      },
      ...placingFlags,
      adminEmail: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: "First person of the tenant, for the platform's steps",
        placeholder: 'address',
      },
      adminName: { kind: 'parsed', parse: String, optional: true, brief: 'Name of that person' },
      key: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'Idempotency key: the same twice makes one tenant [default = the slug]',
      },
    },
    positional: {
      kind: 'tuple',
      parameters: [{ parse: String, brief: 'Short name, also the subdomain', placeholder: 'slug' }],
    },
  },
  docs: {
    brief: "Make a tenant where the rules say, with the platform's own steps",
    fullDescription: [
      'Registry row, namespace, key, tables, the steps of rowhouse.config.mjs, then the tenant is opened. A step that fails for good',
      'undoes those before it. Killed in between, the same command goes on where it stopped. On a terminal the steps are shown as they',
      'are done; elsewhere, and with --json, each is a JSON line and the last line is the tenant.',
    ].join('\n'),
  },
})

function toRequest(slug: string, flags: Flags): ProvisioningRequest {
  const { name, plan, ring, region, compliance, expectedRows, label, adminEmail, adminName, key } = flags
  return {
    slug,
    wish: wishOf(flags),
    ...(name !== undefined && { name }),
    ...(plan !== undefined && { plan }),
    ...(ring !== undefined && { ring }),
    ...(region !== undefined && { region }),
    ...(compliance !== undefined && { compliance }),
    ...(expectedRows !== undefined && { expectedRows }),
    ...(label !== undefined && { labels: Object.fromEntries(label) }),
    ...(adminEmail !== undefined && {
      administrator: { email: adminEmail, ...(adminName !== undefined && { name: adminName }) },
    }),
    ...(key !== undefined && { idempotencyKey: key }),
  }
}

const STEP_WIDTH = 20

/** Shows steps as they happen: the one that runs on a line that is rewritten, those that ended above it. */
export function stepPrinter(io: Io, json: boolean, wanted: string): (event: StepEvent) => void {
  if (!isForPeople(io, json))
    return ({ state, ...event }) => {
      if (state !== 'begun') printJson(io, { event: 'step', ...event, state, elapsedMs: Math.round(event.elapsedMs) })
    }
  const { stderr } = io
  return ({ slug, step, state, elapsedMs }) => {
    // Runs of other tenants that somebody's dead process left are finished here as well.
    const label = slug === wanted ? step : `${slug}: ${step}`
    const clear = stderr.isTTY === true ? '\r\u001b[K' : ''
    if (state === 'begun') {
      if (clear !== '') stderr.write(`${clear}  ${toned(io, stderr, 'dim', `· ${label}`)}`)
      return
    }
    const mark = state === 'done' ? toned(io, stderr, 'good', '✓') : toned(io, stderr, 'bad', '✗')
    const took = toned(io, stderr, 'dim', durationText(elapsedMs))
    stderr.write(`${clear}  ${mark} ${label.padEnd(STEP_WIDTH)}  ${took}\n`)
  }
}

function printHome(io: Io, tenant: ProvisionedTenant): void {
  const { slug, state, placement, why } = tenant
  const home = homeText(tenant)
  io.stdout.write(
    `\n${toned(io, io.stdout, 'bold', slug)} is ${state}: ${placement.model} on ${placement.server}, ${home}\n`,
  )
  io.stdout.write(`${toned(io, io.stdout, 'dim', why)}\n`)
}
