import { buildCommand, buildRouteMap } from '@stricli/core'
import { requireTenantId, TenantError } from 'rowhouse'
import { createTenantAdmin, type RegisteredTenant, type TenantAdmin } from 'rowhouse/install'
import { type AdminFlags, adminUrlFileFlag, type Context, command, type Io, jsonFlag, wholeNumber } from '../command.ts'
import { printJson, printRows } from '../print.ts'
import { adminSettings } from '../settings.ts'

const COLUMNS = ['slug', 'name', 'state', 'model', 'epoch', 'keyVersion', 'createdAt', 'id'] as const
const tenantArgument = { parse: String, brief: 'Slug or id', placeholder: 'tenant' } as const

async function withTenants<T>(io: Io, flags: AdminFlags, work: (tenants: TenantAdmin) => Promise<T>): Promise<T> {
  const tenants = createTenantAdmin(adminSettings(io.env, flags))
  try {
    return await work(tenants)
  } finally {
    await tenants.close()
  }
}

function printTenant(io: Io, tenant: RegisteredTenant, json: boolean): void {
  if (json) printJson(io, tenant)
  else printRows(io, [{ ...tenant }], COLUMNS)
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
}

const list = buildCommand<ListFlags, [], Context>({
  func: command<ListFlags, []>(async (io, flags) => {
    const { json, limit, after } = flags
    const rows = await withTenants(io, flags, (tenants) =>
      tenants.list({ limit, ...(after === undefined ? {} : { after }) }),
    )
    if (json) return printJson(io, rows)
    printRows(
      io,
      rows.map((row) => ({ ...row })),
      COLUMNS,
    )
  }),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      limit: { kind: 'parsed', parse: wholeNumber(1, 1_000), default: '100', brief: 'Tenants at most' },
      after: { kind: 'parsed', parse: String, optional: true, brief: 'Slug of the last tenant of the page before' },
    },
  },
  docs: { brief: 'List tenants by slug' },
})

const show = buildCommand<AdminFlags, [string], Context>({
  func: command<AdminFlags, [string]>(async (io, flags, name) => {
    const tenant = await withTenants(io, flags, (tenants) => tenants.find(name))
    if (tenant === undefined)
      throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot show tenant "${name}": it does not exist`)
    printTenant(io, tenant, flags.json)
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
    list,
    show,
    suspend: change('Refuse every statement of a tenant from now on', (tenants, name) => tenants.suspend(name)),
    resume: change('Serve a suspended tenant again', (tenants, name) => tenants.resume(name)),
    rotateKey: change('Give a tenant a new sealing key; the old one stays valid', (tenants, name) =>
      tenants.rotateKey(name),
    ),
    retireKey: change('End the validity of the key before the current one', (tenants, name) =>
      tenants.retireOldKey(name),
    ),
  },
  docs: { brief: 'Tenants: create, list, show, suspend, resume, rotate keys' },
})
