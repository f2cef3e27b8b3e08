/** What this platform does for a new broker, besides what Rowhouse does for every tenant. */

import type { Secret } from 'rowhouse'
import type { TenantAdmin } from 'rowhouse/install'
import { type ProvisioningStep, type TenantStep, tenantStep, webhookStep } from 'rowhouse-server'

const COLORS = ['#0b5fa5', '#0f6b5c', '#5b3fa8', '#7a2e5d', '#8a3b12', '#8c2f39', '#2f6b2f', '#3d4f9e']

/** Settings a broker begins with; each can be changed afterwards. */
export const defaultSettings: TenantStep = tenantStep({
  name: 'default-settings',
  check: async (db) => (await db.query(`select from setting where key = 'name'`)).rowCount === 1,
  do: async (db, { tenant }) => {
    const settings = {
      name: tenant.name,
      color: COLORS[Number.parseInt(tenant.id.slice(-4), 16) % COLORS.length],
      currency: tenant.labels?.currency ?? 'EUR',
      prefix: prefixOf(tenant.name),
    }
    await db.query(
      `insert into setting (key, value) select key, to_jsonb(value) from unnest($1::text[], $2::text[]) s (key, value)
       on conflict do nothing`,
      [Object.keys(settings), Object.values(settings)],
    )
  },
  undo: async (db) => {
    await db.query('delete from setting')
  },
})

/** `Harbour & Bridge Insurance` → `HBI`. */
function prefixOf(name: string): string {
  const letters = name.normalize('NFKD').match(/\b[A-Za-z0-9]/g) ?? []
  return letters.slice(0, 3).join('').toUpperCase() || 'B'
}

/** The person who signed the broker up. Cannot sign in before choosing a password: nobody's password is journalled. */
export const firstAdministrator: TenantStep = tenantStep({
  name: 'first-administrator',
  check: async (db) => (await db.query(`select from member where role = 'administrator'`)).rowCount !== 0,
  do: async (db, { tenant }) => {
    const { email, name } = requireAdministrator(tenant)
    await db.query(
      `insert into member (email, name, role) values (lower($1), $2, 'administrator') on conflict do nothing`,
      [email, name ?? email],
    )
  },
  undo: async (db) => {
    await db.query('delete from member')
  },
})

function requireAdministrator(tenant: { readonly slug: string; readonly administrator?: Administrator | undefined }) {
  if (tenant.administrator !== undefined) return tenant.administrator
  throw new RangeError(`Cannot make an administrator for "${tenant.slug}": the request names none`)
}

interface Administrator {
  readonly email: string
  readonly name?: string
}

/**
 * Enters the host at which a broker's clients see the broker: `<slug>.<base>`, beside the broker's own subdomain.
 *
 * @param tenants  an administration of its own: the control plane's is not there yet when its steps are made
 * @param base  domain of the platform whose subdomains are the brokers', e.g. `cover.example`
 */
export function clientHost(tenants: TenantAdmin, base: string): ProvisioningStep {
  const hostOf = (slug: string) => `${slug}.${base}`
  const has = async ({ id, slug }: { id: string; slug: string }) => (await tenants.domains(id)).includes(hostOf(slug))
  return {
    name: 'client-host',
    check: ({ tenant }) => has(tenant),
    do: ({ tenant }) => tenants.addDomain(tenant.id, hostOf(tenant.slug)),
    undo: async ({ tenant }) => {
      // Only its own: where the host was somebody else's, that is why this step failed.
      if (await has(tenant)) await tenants.removeDomain(hostOf(tenant.slug))
    },
  }
}

export interface BillingHook {
  /** https, or http on loopback. */
  readonly url: string
  readonly secret: Secret<string>
  /** @defaultValue false */
  readonly allowPrivate?: boolean
}

/** Opens a customer in billing; the last step, because what is outside of our databases is hardest to take back. */
export function billing({ url, secret, allowPrivate = false }: BillingHook): ProvisioningStep {
  return webhookStep({
    name: 'billing',
    url,
    secret,
    allowPrivate,
    events: { do: 'broker.created', undo: 'broker.discarded', leave: 'broker.erased' },
  })
}
