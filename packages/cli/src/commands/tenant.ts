import { buildCommand, buildRouteMap } from '@stricli/core'
import { requireTenantId, TenantError, type TenantState } from 'rowhouse'
import { createTenantAdmin, type RegisteredTenant, type TenantAdmin } from 'rowhouse/install'
import { type AdminFlags, adminUrlFileFlag, type Context, command, type Io, jsonFlag, wholeNumber } from '../command.ts'
import { printJson } from '../print.ts'
import { printTenant, printTenantFacts, printTenants } from '../print-tenant.ts'
import { adminSettings } from '../settings.ts'
import { explainPlacementCommand } from './tenant-explain-placement.ts'
import { holdRoutes } from './tenant-hold.ts'
import { leaveRoutes } from './tenant-leave.ts'
import { moveCommand } from './tenant-move.ts'
import { moveRoutes } from './tenant-move-changes.ts'
import { moveManyRoutes } from './tenant-move-many.ts'
import { provisionCommand } from './tenant-provision.ts'
import { readLifecycle, resumeCommand, setPlanCommand, setRegionCommand, suspendCommand } from './tenant-suspend.ts'

const TENANT_STATES = [
  ...(['provisioning', 'standby', 'active', 'suspended', 'offboarding', 'erased', 'failed'] as const),
] satisfies TenantState[]
const tenantArgument = { parse: String, brief: 'Slug or id', placeholder: 'tenant' } as const

async function withTenants<T>(io: Io, flags: AdminFlags, work: (tenants: TenantAdmin) => Promise<T>): Promise<T> {
  const tenants = createTenantAdmin(adminSettings(io.env, flags))
  try {
    return await work(tenants)
  } finally {
    await tenants.close()
  }
}

interface CreateFlags extends AdminFlags {
  readonly name?: string
  readonly id?: string
}

const create = buildCommand<CreateFlags, [string], Context>({
  func: command<CreateFlags, [string]>(async (io, flags, slug) => {
    const { json, name, id } = flags
    const wanted = { slug, ...(name === undefined ? {} : { name }), ...(id === undefined ? {} : { id }) }
    printTenant(io, await withTenants(io, flags, (tenants) => tenants.create(wanted)), json)
  }),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      name: { kind: 'parsed', parse: String, optional: true, brief: 'Name shown to people' },
      id: { kind: 'parsed', parse: requireTenantId, optional: true, brief: 'UUID, for a tenant that exists elsewhere' },
    },
    positional: {
      kind: 'tuple',
      parameters: [{ parse: String, brief: 'Short name, also the subdomain', placeholder: 'slug' }],
    },
  },
  docs: { brief: 'Create a tenant in shared tables' },
})

interface ListFlags extends AdminFlags {
  readonly limit: number
  readonly after?: string
  readonly server?: string
  readonly model?: RegisteredTenant['placement']['model']
  readonly state?: TenantState
  readonly plan?: string
  readonly ring?: string
}

const PAGE = 1_000

const list = buildCommand<ListFlags, [], Context>({
  func: command<ListFlags, []>(async (io, flags) => {
    printTenants(io, await withTenants(io, flags, (tenants) => findTenants(tenants, flags)), flags.json)
  }),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      limit: { kind: 'parsed', parse: wholeNumber(1, PAGE), default: '100', brief: 'Tenants at most' },
      after: { kind: 'parsed', parse: String, optional: true, brief: 'Slug of the last tenant of the page before' },
      server: { kind: 'parsed', parse: String, optional: true, brief: 'Those on this server only' },
      model: {
        kind: 'enum',
        values: ['pooled', 'schema', 'database'],
        optional: true,
        brief: 'Those that live so only',
      },
      state: { kind: 'enum', values: TENANT_STATES, optional: true, brief: 'Those in this state only' },
      plan: { kind: 'parsed', parse: String, optional: true, brief: 'Those of this plan only' },
      ring: { kind: 'parsed', parse: String, optional: true, brief: 'Those in this ring only' },
    },
  },
  docs: { brief: 'List tenants by slug, with where they live' },
})

/** Reads page after page until enough tenants fit. */
async function findTenants(tenants: TenantAdmin, { limit, after = '', ...wanted }: ListFlags) {
  const found: RegisteredTenant[] = []
  const { server, model, state, plan, ring } = wanted
  const filters = Object.entries({ server, model, state, plan, ring }).filter(([, value]) => value !== undefined)
  const size = filters.length === 0 ? limit : PAGE
  for (let last: string | undefined = after; last !== undefined && found.length < limit; ) {
    const page: RegisteredTenant[] = await tenants.list({ limit: size, ...(last !== '' && { after: last }) })
    found.push(...page.filter((tenant) => filters.every(([fact, value]) => factsOf(tenant)[fact] === value)))
    last = page.length === size ? page.at(-1)?.slug : undefined
  }
  return found.slice(0, limit)
}

function factsOf({ placement, state, plan, ring }: RegisteredTenant): Readonly<Record<string, string>> {
  return { server: placement.server, model: placement.model, state, plan, ring }
}

const show = buildCommand<AdminFlags, [string], Context>({
  func: command<AdminFlags, [string]>(async (io, flags, name) => {
    const tenant = await withTenants(io, flags, (tenants) => tenants.find(name))
    if (tenant === undefined)
      throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot show tenant "${name}": it does not exist`)
    const life = await readLifecycle(io, flags, tenant.id)
    if (flags.json) printJson(io, { ...tenant, ...life })
    else printTenantFacts(io, tenant, life)
  }),
  parameters: {
    flags: { json: jsonFlag, adminUrlFile: adminUrlFileFlag },
    positional: { kind: 'tuple', parameters: [tenantArgument] },
  },
  docs: { brief: 'Show one tenant' },
})

/** Commands that do one thing to one tenant and show it afterwards. */
function change(brief: string, work: (tenants: TenantAdmin, name: string) => Promise<RegisteredTenant>) {
  return buildCommand<AdminFlags, [string], Context>({
    func: command<AdminFlags, [string]>(async (io, flags, name) => {
      printTenant(io, await withTenants(io, flags, (tenants) => work(tenants, name)), flags.json)
    }),
    parameters: {
      flags: { json: jsonFlag, adminUrlFile: adminUrlFileFlag },
      positional: { kind: 'tuple', parameters: [tenantArgument] },
    },
    docs: { brief },
  })
}

export const tenantRoutes = buildRouteMap({
  routes: {
    create,
    provision: provisionCommand,
    explainPlacement: explainPlacementCommand,
    list,
    show,
    suspend: suspendCommand,
    resume: resumeCommand,
    setPlan: setPlanCommand,
    setRegion: setRegionCommand,
    ...leaveRoutes,
    ...holdRoutes,
    rotateKey: change('Give a tenant a new sealing key; the old one stays valid', (tenants, name) =>
      tenants.rotateKey(name),
    ),
    retireKey: change('End the validity of the key before the current one', (tenants, name) =>
      tenants.retireOldKey(name),
    ),
    move: moveCommand,
    ...moveRoutes,
    ...moveManyRoutes,
  },
  docs: { brief: 'Tenants: provision, list, show, suspend, resume, rotate keys, move, hold, offboard, erase' },
})
