import { createHmac } from 'node:crypto'
import { resolveTxt } from 'node:dns/promises'
import type { TenantAdmin } from 'rowhouse/install'
import { InputError } from '../domain/input-error.ts'

/** Returns the TXT records of a name, each as its parts; throws where there are none. */
export type TxtLookup = (name: string) => Promise<readonly (readonly string[])[]>

export interface OwnDomainOptions {
  readonly tenants: TenantAdmin
  /** Secret of at least 32 bytes. */
  readonly key: Buffer
  /** Domains of the platform, which are nobody's own. */
  readonly platformDomains: readonly string[]
  /** @defaultValue the system's resolver */
  readonly lookupTxt?: TxtLookup | undefined
}

/** A domain of the broker's own: first proved, then entered. */
export interface OwnDomain {
  /** What to write into DNS: a TXT record `value` at `name`. Another broker's proof for the same host is another one. */
  proofOf(tenantId: string, host: string): { readonly name: string; readonly value: string }
  /**
   * Lets the host lead to the broker once DNS holds the proof.
   *
   * @throws {InputError} when it does not, or for a host nobody can own
   * @throws {TenantError} `ERR_TENANT_DOMAIN_TAKEN`
   */
  connect(tenantId: string, host: string): Promise<void>
}

/** At least two labels, the last one of letters: the registry checks the rest. */
const HOST = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/

export function createOwnDomain(options: OwnDomainOptions): OwnDomain {
  const { tenants, key, platformDomains, lookupTxt = resolveTxt } = options
  const proofOf = (tenantId: string, host: string) => ({
    name: `_brokerage-proof.${host}`,
    value: createHmac('sha256', key).update(`brokerage domain v1|${tenantId}|${host}`).digest('hex').slice(0, 40),
  })
  return {
    proofOf,
    connect: async (tenantId, given) => {
      const host = given.trim().toLowerCase().replace(/\.$/, '')
      const isOurs = platformDomains.some((base) => host === base || host.endsWith(`.${base}`))
      if (isOurs || !HOST.test(host)) throw refuse('must be a domain of your own, e.g. portal.your-name.example')
      if ((await tenants.domains(tenantId)).includes(host)) return
      const { name, value } = proofOf(tenantId, host)
      const records = await lookupTxt(name).catch(() => [])
      if (!records.some((parts) => parts.join('') === value)) {
        throw refuse(`is not proved: DNS has no TXT record "${name}" with the value "${value}" yet`)
      }
      await tenants.addDomain(tenantId, host)
    },
  }
}

function refuse(message: string): InputError {
  return new InputError([{ field: 'domain', message }])
}
