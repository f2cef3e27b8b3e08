import { isIP } from 'node:net'
import { ConfigError } from '../errors.ts'
import { findSlugFault, RESERVED_SLUGS } from '../tenant/slug.ts'
import { canonicalHost } from './host.ts'
import { malformed } from './request-facts.ts'
import type { TenantSource } from './tenant-source.ts'

export interface SubdomainOptions {
  /** Domains whose direct subdomains are tenants, e.g. `example.com`, `localhost`. */
  readonly base: string | readonly string[]
}

/**
 * Reads the tenant from the label below a base domain: `acme.example.com` → `acme`.
 *
 * The base domain itself says nothing, nor does a reserved name such as `api`. A label that can be no slug, or a deeper
 * name, is refused.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when a base is no host name
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
      if (suffix === undefined || bases.includes(host)) return undefined
      const label = host.slice(0, -suffix.length - 1)
      if (label.includes('.')) throw malformed('its Host lies more than one label below the base domain')
      // A reserved name is a page of the platform: it says nothing about a tenant.
      if (RESERVED_SLUGS.has(label)) return undefined
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
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when a base is no host name
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

/** Longest first: `eu.example.com` before `example.com`, below which its tenants would lie two labels deep. */
function list(value: string | readonly string[]): string[] {
  return [value]
    .flat()
    .map(requireBase)
    .sort((a, b) => b.length - a.length)
}

/** A base with a scheme, a port or a leading dot would match no host, and every request would be refused. */
function requireBase(base: string): string {
  try {
    if (canonicalHost(base) === base.toLowerCase()) return base.toLowerCase()
  } catch {
    // Said below, as a matter of configuration.
  }
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot use the base domain "${base}": wanted a name such as "example.com"`,
  )
}
