import { BlockList, isIP } from 'node:net'
import { ConfigError, ResolveError } from '../errors.ts'
import { isTenantId } from '../tenant/tenant-id.ts'
import type { TenantSource } from './tenant-source.ts'

export interface TrustedHeaderOptions {
  /** E.g. `x-tenant`. */
  readonly header: string
  /** Addresses or networks (CIDR) of the proxies that set it, and strip it from what comes in. */
  readonly proxies: readonly string[]
}

/**
 * Reads the tenant from a header that a proxy of yours sets.
 *
 * From any other peer the header is an attempt to choose a tenant, and the request is refused.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when a proxy is no address or network
 * @throws {ResolveError} `ERR_CREDENTIAL_INVALID` when somebody else sent the header
 * @example
 * ```ts
 * import { fromTrustedHeader } from 'rowhouse'
 * const source = fromTrustedHeader({ header: 'x-tenant', proxies: ['10.0.0.0/8'] })
 * console.assert(source.name === 'header')
 * ```
 */
export function fromTrustedHeader({ header, proxies }: TrustedHeaderOptions): TenantSource {
  const trusted = toBlockList(proxies)
  const name = header.toLowerCase()
  return {
    name: 'header',
    find: (request) => {
      const value = request.header(name)
      if (value === undefined) return undefined
      if (!isTrusted(trusted, request.remoteAddress)) {
        throw new ResolveError(
          'ERR_CREDENTIAL_INVALID',
          `Cannot accept the header "${name}": its sender is not a trusted proxy`,
        )
      }
      return { by: isTenantId(value) ? 'id' : 'slug', value }
    },
  }
}

/** Address, and after a slash how many bits of it count. An empty prefix would be read as 0. */
const PROXY = /^([0-9a-f:.]+)(?:\/([0-9]{1,3}))?$/i

function toBlockList(proxies: readonly string[]): BlockList {
  const trusted = new BlockList()
  for (const proxy of proxies) {
    const [, address = '', prefix] = PROXY.exec(proxy) ?? []
    const family = isIP(address)
    const bits = prefix === undefined ? undefined : Number(prefix)
    const maximum = family === 4 ? 32 : 128
    // A prefix of 0 trusts everybody, which is never meant.
    if (family === 0 || (bits !== undefined && (bits === 0 || bits > maximum))) {
      throw new ConfigError(
        'ERR_CONFIG_INVALID',
        `Cannot trust the proxy "${proxy}": wanted an address or a network such as 10.0.0.0/8`,
      )
    }
    const type = family === 4 ? 'ipv4' : 'ipv6'
    if (bits === undefined) trusted.addAddress(address, type)
    else trusted.addSubnet(address, bits, type)
  }
  return trusted
}

function isTrusted(trusted: BlockList, address: string | undefined): boolean {
  if (address === undefined) return false
  // A dual-stack socket shows an IPv4 peer as ::ffff:10.0.0.1.
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  const family = isIP(plain)
  return family !== 0 && trusted.check(plain, family === 4 ? 'ipv4' : 'ipv6')
}
