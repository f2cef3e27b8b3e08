import { LRUCache } from 'lru-cache'
import { runWithoutTenantContext } from '../context/tenant-context.ts'
import type { DirectoryEntry, TenantDirectory, TenantKey } from '../tenant/directory.ts'
import { isTenantId } from '../tenant/tenant-id.ts'

export interface DirectoryOptions {
  readonly lookup: (key: TenantKey) => Promise<DirectoryEntry | undefined>
  /** Names remembered; each is some 500 bytes. @defaultValue 20 000 */
  readonly maxEntries?: number
  /** How long a tenant found is remembered, in milliseconds. @defaultValue 30 000 */
  readonly ttlMs?: number
  /** How long an unknown name is remembered, in milliseconds: short, a tenant may be made any moment. @defaultValue 2 000 */
  readonly negativeTtlMs?: number
  /** Unknown names remembered: apart from the others, so that guessing cannot evict tenants. @defaultValue 1 000 */
  readonly maxNegativeEntries?: number
  /** A clock that only goes forward, in milliseconds. @defaultValue performance.now */
  readonly now?: () => number
}

/** A revoked key is refused after this long at most, in milliseconds. */
const API_KEY_TTL_MS = 5_000

/**
 * Remembers who answers to which name, bounded in number and time.
 *
 * Old answers are safe: the database checks epoch, key and state with every statement. Lookups of one name that come
 * together are one; they run outside of every tenant's context, which must not reach them.
 */
export function createTenantDirectory(options: DirectoryOptions): TenantDirectory {
  const { lookup, maxEntries = 20_000, ttlMs = 30_000, negativeTtlMs = 2_000, maxNegativeEntries = 1_000 } = options
  // Read at every lookup: remembered for a while, as is the default, the clock would need a timer.
  const clock = { perf: { now: options.now ?? (() => performance.now()) }, ttlResolution: 0 }
  const found = new LRUCache<string, DirectoryEntry>({ ...clock, max: maxEntries, ttl: ttlMs })
  const unknown = new LRUCache<string, true>({ ...clock, max: maxNegativeEntries, ttl: negativeTtlMs })
  const running = new Map<string, Promise<DirectoryEntry | undefined>>()
  /** Rises when something was forgotten: an answer asked for before that must not be remembered. */
  let generation = 0

  const ask = async (key: TenantKey, name: string): Promise<DirectoryEntry | undefined> => {
    const asked = generation
    const entry = frozen(await runWithoutTenantContext(() => lookup(key)))
    if (asked !== generation) return entry
    if (entry === undefined) unknown.set(name, true)
    else found.set(name, entry, key.by === 'api-key' ? { ttl: Math.min(ttlMs, API_KEY_TTL_MS) } : {})
    return entry
  }

  return {
    find: async (key) => {
      if (!canExist(key)) return undefined
      const name = nameOf(key)
      const known = found.get(name)
      if (known !== undefined) return known
      if (unknown.has(name)) return undefined
      const waiting = running.get(name)
      if (waiting !== undefined) return waiting
      const asking = ask(key, name).finally(() => {
        // After invalidate() another one may be running under this name.
        if (running.get(name) === asking) running.delete(name)
      })
      running.set(name, asking)
      return asking
    },
    invalidate: (tenantId) => {
      generation++
      running.clear()
      unknown.clear()
      if (tenantId === undefined) return found.clear()
      for (const [name, entry] of found.entries()) if (entry.tenant.id === tenantId) found.delete(name)
    },
  }
}

/**
 * Tells whether a name has the shape of one. What has not is answered here: an id that is no UUID would be an error of
 * the database, and long texts would fill the cache. Says nothing about reserved names: a tenant may be older than one.
 */
function canExist(key: TenantKey): boolean {
  if (key.by === 'id') return isTenantId(key.value)
  if (key.by === 'slug') return /^[a-z0-9-]{2,63}$/.test(key.value)
  if (key.by === 'host') return /^[a-z0-9.-]{1,253}$/.test(key.value)
  return /^[0-9A-Za-z]{1,64}$/.test(key.value) && /^[0-9a-f]{64}$/.test(key.secretSha256)
}

/** All requests of a tenant share one entry: what one of them changed in it would hold for the others. */
function frozen(entry: DirectoryEntry | undefined): DirectoryEntry | undefined {
  if (entry === undefined) return undefined
  const { tenant, grant, moving } = entry
  const shared = grant && Object.freeze({ actor: grant.actor, units: grant.units && Object.freeze([...grant.units]) })
  return Object.freeze({ tenant: Object.freeze({ ...tenant }), grant: shared, ...(moving ? { moving } : {}) })
}

/** Length first, so that no two keys can be one name: `a|b` + `c` and `a` + `b|c`. */
function nameOf(key: TenantKey): string {
  const secret = key.by === 'api-key' ? key.secretSha256 : ''
  return `${key.by}|${key.value.length}|${key.value}|${secret}`
}
