import type { Tenant } from './tenant.ts'

/** How somebody names a tenant. A host is canonical (lower case, no port, no trailing dot). */
export type TenantKey =
  | { readonly by: 'id'; readonly value: string }
  | { readonly by: 'slug'; readonly value: string }
  | { readonly by: 'host'; readonly value: string }
  /** Public id of an API key and the SHA-256 of its secret in hex; the secret itself never travels. */
  | { readonly by: 'api-key'; readonly value: string; readonly secretSha256: string }

/** What an API key allows besides naming its tenant. */
export interface KeyGrant {
  /** Who acts when this key is used, e.g. `key:4f9c…`. */
  readonly actor: string
  /** Units the key is limited to; undefined means all units. */
  readonly units: readonly string[] | undefined
}

export interface DirectoryEntry {
  readonly tenant: Tenant
  readonly grant: KeyGrant | undefined
  /** True when the tenant was on its way to another placement as this was read. */
  readonly moving?: boolean
}

/** Finds tenants. The one implementation with a cache is in `resolve/tenant-directory.ts`. */
export interface TenantDirectory {
  /** Returns the entry, or undefined when no tenant answers to this key; never throws for "unknown". */
  find(key: TenantKey): Promise<DirectoryEntry | undefined>
  /** Forgets what is cached about one tenant, or about all. */
  invalidate(tenantId?: string): void
}
