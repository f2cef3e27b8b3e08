import { lookup } from 'node:dns/promises'
import { BlockList, isIP, isIPv4 } from 'node:net'
import { HookError, UnavailableError } from 'rowhouse'

/** Returns the addresses of a host name, all of them. */
export type AddressLookup = (host: string) => Promise<readonly string[]>

export interface CheckedAddress {
  readonly address: string
  readonly family: 4 | 6
}

/** Networks of somebody's own, which `allowPrivate` opens: loopback, RFC 1918, carrier NAT, unique local. */
const PRIVATE = blockListOf([
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['::1', 128],
  ['fc00::', 7],
])

/**
 * Never a receiver of webhooks, whatever is allowed: unspecified, link-local (where clouds keep the metadata of a machine),
 * protocol assignments, documentation, multicast, reserved, and clouds' metadata at other addresses.
 */
const NEVER = blockListOf([
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['fd00:ec2::254', 128],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
])

const LOOPBACK = blockListOf([
  ['127.0.0.0', 8],
  ['::1', 128],
])
/** Global unicast. What lies elsewhere is private or wraps an IPv4 address past the lists above. */
const GLOBAL_IPV6 = blockListOf([['2000::', 3]])

export interface AddressRules {
  readonly allowPrivate: boolean
  /** True when the connection is not encrypted, which only this machine may see. */
  readonly loopbackOnly: boolean
}

/**
 * Returns the address to connect to: the first one of `host`, once all of them are allowed.
 *
 * The caller connects to this address and never resolves the name again: a second answer could be another one.
 *
 * @param host  as `URL.hostname` has it
 * @throws {HookError} `ERR_HOOK_REFUSED`, reason `address-refused`, when any address is not allowed
 * @throws {UnavailableError} `ERR_HOOK_UNAVAILABLE` when the name has no address now
 */
export async function resolveAllowed(
  host: string,
  rules: AddressRules,
  find: AddressLookup = findAddresses,
): Promise<CheckedAddress> {
  const literal = host.replace(/^\[|\]$/g, '')
  const addresses = isIP(literal)
    ? [literal]
    : await find(host).catch((cause) => Promise.reject(unresolved(host, cause)))
  const refused = addresses.find((address) => !isAllowed(address, rules))
  if (refused !== undefined) throw notAllowed(host, refused, rules)
  const [address] = addresses
  if (address === undefined) throw unresolved(host, undefined)
  return { address, family: isIPv4(address) ? 4 : 6 }
}

function isAllowed(address: string, { allowPrivate, loopbackOnly }: AddressRules): boolean {
  // A zone index ("fe80::1%eth0") is link-local by itself.
  if (isIP(address) === 0 || address.includes('%')) return false
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  if (NEVER.check(address, family)) return false
  if (loopbackOnly && !LOOPBACK.check(address, family)) return false
  if (PRIVATE.check(address, family)) return allowPrivate
  return family === 'ipv4' || GLOBAL_IPV6.check(address, family)
}

async function findAddresses(host: string): Promise<string[]> {
  const found = await lookup(host, { all: true, verbatim: true })
  return found.map(({ address }) => address)
}

function blockListOf(subnets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList()
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, isIPv4(net) ? 'ipv4' : 'ipv6')
  return list
}

function notAllowed(host: string, address: string, { loopbackOnly }: AddressRules): HookError {
  const isLoopback = isIP(address) !== 0 && LOOPBACK.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
  const wanted =
    loopbackOnly && !isLoopback
      ? 'without encryption only loopback may be called; use https'
      : 'wanted a public one; set allowPrivate when the receiver is on your own network'
  const message = `Cannot call the webhook at "${host}": its address ${address} is not allowed, ${wanted}`
  return new HookError('ERR_HOOK_REFUSED', message, { reason: 'address-refused' })
}

function unresolved(host: string, cause: unknown): UnavailableError {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? 'it has no address'
  const message = `Cannot call the webhook at "${host}": ${code}; try again when the name resolves`
  return new UnavailableError('ERR_HOOK_UNAVAILABLE', message, { cause })
}
