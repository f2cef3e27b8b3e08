import { isIP } from 'node:net'
import { findSlugFault } from '../tenant/slug.ts'
import { malformed } from './request-facts.ts'
import type { TenantSource } from './tenant-source.ts'

export interface SubdomainOptions {
  /** Domains whose direct subdomains are tenants, e.g. `example.com`, `localhost`. */
  readonly base: string | readonly string[]
}

/**
 * Reads the tenant from the label below a base domain: `acme.example.com` → `acme`.
 *
 * The base domain itself says nothing. A label that can be no slug, or a deeper name, is refused.
 *
 * @throws {ResolveError} `ERR_REQUEST_MALFORMED` when the name below the base can be no tenant's
 * @example
 * ```ts
 * import { fromSubdomain } from 'rowhouse'
 * const source = fromSubdomain({ base: ['example.com', 'localhost'] })
 * console.assert(source.name === 'subdomain')
 * ```
 */
export function fromSubdomain({ base }: SubdomainOptions): TenantSource {
  const bases = list(base)
  return {
    name: 'subdomain',
    find: ({ host }) => {
      const suffix = bases.find((each) => host.endsWith(`.${each}`))
      if (suffix === undefined) return undefined
      const label = host.slice(0, -suffix.length - 1)
      if (label.includes('.')) throw malformed('its Host lies more than one label below the base domain')
      // A reserved name is a page of the platform: it says nothing about a tenant.
      if (findSlugFault(label)?.includes('reserved')) return undefined
      if (findSlugFault(label) !== undefined) throw malformed('its subdomain can be no tenant')
      return { by: 'slug', value: label }
    },
  }
}

export interface CustomDomainOptions {
  /** Base domains of the platform: hosts at or below them are no tenant's own. */
  readonly exceptUnder: string | readonly string[]
}

/**
 * Reads the tenant from a domain of its own: `portal.acme.example` → whoever proved to own it.
 *
 * @example
 * ```ts
 * import { fromCustomDomain } from 'rowhouse'
 * const source = fromCustomDomain({ exceptUnder: 'example.com' })
 * console.assert(source.name === 'custom-domain')
 * ```
 */
export function fromCustomDomain({ exceptUnder }: CustomDomainOptions): TenantSource {
  const bases = list(exceptUnder)
  return {
    name: 'custom-domain',
    find: ({ host }) => {
      if (host.startsWith('[') || isIP(host) !== 0) return undefined
      if (bases.some((base) => host === base || host.endsWith(`.${base}`))) return undefined
      return { by: 'host', value: host }
    },
  }
}

function list(value: string | readonly string[]): string[] {
  return [value].flat().map((base) => base.toLowerCase())
}
