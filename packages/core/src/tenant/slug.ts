import { TenantError } from '../errors.ts'

/**
 * The rule for a tenant's short name, which is also its DNS label.
 *
 * Lower-case ASCII letters, digits and single hyphens, 2 to 63 characters, so that no Unicode
 * normalisation can make two names one. `--` in third place is refused because it announces punycode.
 */
const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])$/

/** Names a platform needs for itself, or that mail clients and browsers look up on their own (WEB-08). */
export const RESERVED_SLUGS: ReadonlySet<string> = new Set([
  'admin',
  'api',
  'app',
  'assets',
  'auth',
  'autoconfig',
  'autodiscover',
  'billing',
  'blog',
  'cdn',
  'console',
  'dashboard',
  'dev',
  'docs',
  'email',
  'ftp',
  'help',
  'imap',
  'internal',
  'localhost',
  'login',
  'mail',
  'mta-sts',
  'mx',
  'ns',
  'ns1',
  'ns2',
  'pop',
  'portal',
  'root',
  'rowhouse',
  'signup',
  'smtp',
  'sso',
  'staging',
  'static',
  'status',
  'support',
  'system',
  'test',
  'wpad',
  'www',
])

/**
 * Tells why `slug` cannot name a tenant; undefined when it can.
 *
 * @example
 * ```ts
 * import { findSlugFault } from 'rowhouse'
 * console.assert(findSlugFault('acme') === undefined)
 * console.assert(findSlugFault('www') === 'this name is reserved for the platform')
 * ```
 */
export function findSlugFault(slug: string): string | undefined {
  if (!SLUG.test(slug))
    return 'wanted 2 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends'
  if (slug.slice(2, 4) === '--') return 'wanted no "--" in third place, which announces an encoded international name'
  if (RESERVED_SLUGS.has(slug)) return 'this name is reserved for the platform'
  return undefined
}

/**
 * Returns `slug` when it can name a tenant.
 *
 * @throws {TenantError} `ERR_TENANT_SLUG_INVALID` when it cannot; the message says why
 * @example
 * ```ts
 * import { requireSlug } from 'rowhouse'
 * console.assert(requireSlug('acme') === 'acme')
 * ```
 */
export function requireSlug(slug: string): string {
  const fault = findSlugFault(slug)
  if (fault !== undefined) throw new TenantError('ERR_TENANT_SLUG_INVALID', `Cannot name a tenant "${slug}": ${fault}`)
  return slug
}
