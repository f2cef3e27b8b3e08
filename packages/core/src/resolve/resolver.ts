import { ResolveError, TenantError } from '../errors.ts'
import type { DirectoryEntry, TenantDirectory, TenantKey } from '../tenant/directory.ts'
import type { Tenant } from '../tenant/tenant.ts'
import { checkRequest } from './host.ts'
import type { RequestFacts } from './request-facts.ts'
import type { TenantSource } from './tenant-source.ts'

export interface ResolvedTenant {
  readonly tenant: Tenant
  /** Who acts, where a credential says so. */
  readonly actor: string | undefined
  /** Units a credential is limited to; undefined means all. */
  readonly units: readonly string[] | undefined
  /** Names of the sources that spoke. */
  readonly sources: readonly string[]
}

export interface Resolver {
  /**
   * Returns the tenant of a request.
   *
   * @throws {ResolveError} `ERR_REQUEST_MALFORMED` before any lookup, `ERR_CREDENTIAL_INVALID`, `ERR_TENANT_UNRESOLVED`
   *   when no source speaks, `ERR_TENANT_AMBIGUOUS` when two speak of different tenants
   * @throws {TenantError} `ERR_TENANT_NOT_FOUND`, `ERR_TENANT_SUSPENDED`
   */
  resolve(facts: RequestFacts): Promise<ResolvedTenant>
}

interface Spoken {
  readonly source: string
  readonly key: TenantKey
}

/** Makes a resolver: all sources that speak of a request have to lead to the same tenant. */
export function createResolver({
  directory,
  sources,
}: {
  readonly directory: TenantDirectory
  readonly sources: readonly TenantSource[]
}): Resolver {
  return {
    resolve: async (facts) => {
      const request = checkRequest(facts)
      const spoken: Spoken[] = []
      for (const source of sources) {
        const key = await source.find(request)
        if (key !== undefined) spoken.push({ source: source.name, key })
      }
      if (spoken.length === 0) {
        throw new ResolveError('ERR_TENANT_UNRESOLVED', 'Cannot tell the tenant of this request: no source names one')
      }
      const entries = await Promise.all(
        spoken.map(async ({ source, key }) => ({ source, entry: await find(directory, key) })),
      )
      return agree(entries)
    },
  }
}

async function find(directory: TenantDirectory, key: TenantKey): Promise<DirectoryEntry> {
  const entry = await directory.find(key)
  if (entry !== undefined) return entry
  if (key.by === 'api-key') {
    throw new ResolveError('ERR_CREDENTIAL_INVALID', 'Cannot accept this API key: it is unknown, revoked or expired')
  }
  throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot serve "${key.value}": no tenant answers to this ${key.by}`)
}

function agree(entries: readonly { source: string; entry: DirectoryEntry }[]): ResolvedTenant {
  const [first] = entries
  if (first === undefined) throw new ResolveError('ERR_TENANT_UNRESOLVED', 'Cannot tell the tenant of this request')
  const { tenant } = first.entry
  const other = entries.find(({ entry }) => entry.tenant.id !== tenant.id)
  if (other !== undefined) {
    throw new ResolveError(
      'ERR_TENANT_AMBIGUOUS',
      `Cannot tell the tenant of this request: ${first.source} and ${other.source} name different ones`,
    )
  }
  if (tenant.state !== 'active') {
    throw new TenantError('ERR_TENANT_SUSPENDED', `Cannot serve tenant "${tenant.slug}": it is ${tenant.state}`, {
      tenantId: tenant.id,
    })
  }
  const grant = entries.find(({ entry }) => entry.grant !== undefined)?.entry.grant
  return { tenant, actor: grant?.actor, units: grant?.units, sources: entries.map(({ source }) => source) }
}
