import { isIPv4, isIPv6 } from 'node:net'
import { ConfigError } from 'rowhouse'

/** Where a name points: addresses, or one other name. Both at once cannot stand in a zone. */
export type DnsTarget =
  | { readonly a?: readonly string[]; readonly aaaa?: readonly string[]; readonly cname?: never }
  | { readonly cname: string; readonly a?: never; readonly aaaa?: never }

/** All that a name answers, and whose it is. */
export interface DnsRecord {
  /** Host name, lower case, no trailing dot. */
  readonly name: string
  readonly target: DnsTarget
  readonly ttlSeconds: number
  /** Who may change and remove it, e.g. a tenant's id: 1 to 200 letters, digits, `-`, `_`, `:` and `.`. */
  readonly owner: string
}

export type DnsType = 'A' | 'AAAA' | 'CNAME' | 'TXT'

/**
 * Writes names into a zone.
 *
 * A name is marked with its owner by a TXT record beside it (`ownerMark`), written and removed in the same step: two tenants
 * that point to the same edge have equal records, and the mark tells whose is whose.
 */
export interface DnsProvider {
  /**
   * Makes the name answer as `record` says. Takes a free name, renews one that is marked as this owner's, and refuses every
   * other with `ERR_HOOK_REFUSED`, reason `name-taken`.
   */
  upsert(record: DnsRecord, signal?: AbortSignal): Promise<void>
  /** Removes the addresses, the alias and the mark of a name; returns false, and removes nothing, unless the mark is this owner's. */
  remove(record: DnsRecord, signal?: AbortSignal): Promise<boolean>
  /** Returns what the zone itself answers now, in no order; empty when there is nothing of this type. */
  lookup(name: string, type: DnsType, signal?: AbortSignal): Promise<readonly string[]>
}

/** A record of the zone as text: what a provider compares and writes. */
export interface DnsEntry {
  readonly name: string
  readonly type: DnsType
  readonly value: string
}

const MARK_LABEL = '_rowhouse'
const MAX_NAME_LENGTH = 253
const MAX_ADDRESSES = 8
/** A day: longer, and a tenant that moves to another edge stays cached at the old one. */
const MAX_TTL_SECONDS = 86_400
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const OWNER = /^[\w:.-]{1,200}$/

/**
 * Returns the TXT record that marks `name` as `owner`'s. It stands below the name, where an alias may not have it.
 *
 * @example
 * ```ts
 * import { ownerMark } from 'rowhouse-server'
 * console.assert(ownerMark('acme.example.com', '7').value === 'rowhouse-owner=7')
 * ```
 */
export function ownerMark(name: string, owner: string): DnsEntry {
  return { name: `${MARK_LABEL}.${name}`, type: 'TXT', value: `rowhouse-owner=${owner}` }
}

/** Returns the records of a target as text that compares: lower case, IPv6 in its one short form. */
export function entriesOf(record: Pick<DnsRecord, 'name' | 'target'>): DnsEntry[] {
  const { name, target } = record
  if (target.cname !== undefined) return [{ name, type: 'CNAME', value: target.cname }]
  return [
    ...(target.a ?? []).map((value) => ({ name, type: 'A' as const, value })),
    ...(target.aaaa ?? []).map((value) => ({ name, type: 'AAAA' as const, value: canonicalIpv6(value) })),
  ]
}

/**
 * Returns `record` when it can stand in a zone below `zone`.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a name that is no host name or lies elsewhere, a wildcard, a target that
 *   is neither addresses nor one name, a time to live or an owner out of bounds
 */
export function requireDnsRecord(record: DnsRecord, zone: string): DnsRecord {
  const { name, ttlSeconds, owner } = record
  requireHostName(name)
  if (!name.endsWith(`.${zone}`)) throw refused(name, `it does not lie below the zone "${zone}"`)
  // The mark needs its place too, or a name could be written that nobody may remove.
  if (ownerMark(name, owner).name.length > MAX_NAME_LENGTH) {
    throw refused(name, `its mark is longer than ${MAX_NAME_LENGTH} characters; choose a shorter one`)
  }
  requireDnsTarget(record.target)
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > MAX_TTL_SECONDS) {
    throw refused(name, `a time to live of ${ttlSeconds} s is out of bounds; wanted 1 to ${MAX_TTL_SECONDS}`)
  }
  if (!OWNER.test(owner)) throw refused(name, 'its owner is not 1 to 200 letters, digits, "-", "_", ":" and "."')
  return record
}

/**
 * Returns `name` when it is a host name: labels of 1 to 63 lower-case letters, digits and hyphens, 253 characters in all.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when it is not, and for a wildcard, which would answer for all tenants
 */
export function requireHostName(name: string): string {
  const labels = name.split('.')
  if (labels.includes('*')) throw refused(name, 'a wildcard answers for every tenant; name one host')
  if (name.length > MAX_NAME_LENGTH) throw refused(name, `it is longer than ${MAX_NAME_LENGTH} characters`)
  const label = labels.find((each) => !LABEL.test(each))
  if (label === undefined) return name
  throw refused(name, `"${label}" is no label of a host name; wanted 1 to 63 lower-case letters, digits and hyphens`)
}

/**
 * Returns `target` when it says where to point.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for none, for both kinds, more than 8 addresses, or text that is no address
 */
export function requireDnsTarget(target: DnsTarget): DnsTarget {
  const { a = [], aaaa = [], cname } = target
  const count = a.length + aaaa.length
  if ((cname === undefined) === (count === 0)) throw refusedTarget('wanted addresses or one "cname", not both')
  if (count > MAX_ADDRESSES) throw refusedTarget(`${count} addresses; wanted ${MAX_ADDRESSES} at most`)
  const wrong = a.find((value) => !isIPv4(value)) ?? aaaa.find((value) => !isIPv6(value) || value.includes('%'))
  if (wrong !== undefined) throw refusedTarget(`"${wrong}" is no address of its family`)
  if (cname !== undefined) requireHostName(cname)
  return target
}

/** Tells whether two sets of values are the same set. */
export function haveSameValues(left: readonly string[], right: readonly string[]): boolean {
  const wanted = new Set(left)
  return wanted.size === new Set(right).size && right.every((value) => wanted.has(value))
}

export function canonicalIpv6(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1)
}

function refused(name: string, why: string): ConfigError {
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot write "${name}" into DNS: ${why}`)
}

function refusedTarget(why: string): ConfigError {
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot point names in DNS: ${why}`)
}
