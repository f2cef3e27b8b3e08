import { findTenantContext } from '../../src/context/tenant-context.ts'
import { createApiKey } from '../../src/resolve/api-key.ts'
import type { TenantGate } from '../../src/resolve/gate.ts'
import { createResolver } from '../../src/resolve/resolver.ts'
import type { TenantSource } from '../../src/resolve/tenant-source.ts'
import type { DirectoryEntry, TenantDirectory, TenantKey } from '../../src/tenant/directory.ts'
import { MAIN_POOLED } from '../../src/tenant/placement.ts'
import type { Tenant, TenantState } from '../../src/tenant/tenant.ts'
import { requireTenantId } from '../../src/tenant/tenant-id.ts'

/** A gate over a directory in memory: what adapters are held to needs no database. */
export interface MemoryGate extends TenantGate {
  /** Keys looked up so far. */
  readonly asked: readonly TenantKey[]
  /** Refusals reported so far. */
  readonly refusals: readonly unknown[]
}

export const keys = { acme: createApiKey(), globex: createApiKey(), dormant: createApiKey(), nobody: createApiKey() }

const slugs = ['acme', 'globex', 'initech', 'umbrella', 'dormant']

function tenantOf(slug: string): Tenant {
  const state: TenantState = slug === 'dormant' ? 'suspended' : 'active'
  const id = requireTenantId(`00000000-0000-4000-8000-00000000000${slugs.indexOf(slug)}`)
  return { id, slug, state, plan: 'standard', placement: MAIN_POOLED, epoch: 1, keyVersion: 1 }
}

export function createMemoryGate(sources: readonly TenantSource[]): MemoryGate {
  const asked: TenantKey[] = []
  const refusals: unknown[] = []
  const directory: TenantDirectory = {
    find: async (key) => {
      asked.push(key)
      return answer(key)
    },
    invalidate() {},
  }
  const resolver = createResolver({ directory, sources })
  return {
    asked,
    refusals,
    enter: async (request) => {
      const { tenant, actor } = await resolver.resolve(request)
      return Object.freeze({ tenant, actor, units: undefined, readOnly: false, timeoutMs: undefined })
    },
    onRefused: (error) => refusals.push(error),
  }
}

/** Slug of the tenant the calling code runs as. */
export function runningTenant(): string | undefined {
  return findTenantContext()?.tenant.slug
}

function answer(key: TenantKey): DirectoryEntry | undefined {
  if (key.by === 'slug')
    return slugs.includes(key.value) ? { tenant: tenantOf(key.value), grant: undefined } : undefined
  if (key.by === 'host') return key.value === 'portal.acme.test' ? answer({ by: 'slug', value: 'acme' }) : undefined
  if (key.by === 'id') return undefined
  const owner = (['acme', 'globex', 'dormant'] as const).find(
    (slug) => keys[slug].id === key.value && keys[slug].secretSha256 === key.secretSha256,
  )
  return owner && { tenant: tenantOf(owner), grant: { actor: `key:${key.value}`, units: undefined } }
}
