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
  readonly source: TenantSource
  readonly key: TenantKey
}

interface Found {
  readonly source: TenantSource
  readonly entry: DirectoryEntry
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
        if (key !== undefined) spoken.push({ source, key })
      }
      if (spoken.length === 0) {
        throw new ResolveError('ERR_TENANT_UNRESOLVED', 'Cannot tell the tenant of this request: no source names one')
      }
      return agree(await Promise.all(spoken.map((each) => find(directory, each))))
    },
  }
}

async function find(directory: TenantDirectory, { source, key }: Spoken): Promise<Found> {
  const entry = await directory.find(key)
  if (entry !== undefined) return { source, entry }
  if (source.credential === true) {
    throw new ResolveError(
      'ERR_CREDENTIAL_INVALID',
      `Cannot accept this ${source.name}: it is unknown, revoked or expired`,
    )
  }
  throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot serve "${key.value}": no tenant answers to this ${key.by}`)
}

function agree(found: readonly Found[]): ResolvedTenant {
  const [first] = found
  if (first === undefined) throw new ResolveError('ERR_TENANT_UNRESOLVED', 'Cannot tell the tenant of this request')
  const { tenant } = first.entry
  const other = found.find(({ entry }) => entry.tenant.id !== tenant.id)
  if (other !== undefined) throw disagreement(found, first.source, other.source)
  if (tenant.state !== 'active') {
    throw new TenantError('ERR_TENANT_SUSPENDED', `Cannot serve tenant "${tenant.slug}": it is ${tenant.state}`, {
      tenantId: tenant.id,
    })
  }
  const grant = found.find(({ entry }) => entry.grant !== undefined)?.entry.grant
  return { tenant, actor: grant?.actor, units: grant?.units, sources: found.map(({ source }) => source.name) }
}

/** A good credential of another tenant must look like a bad one: its `cause` says so to whoever answers the client. */
function disagreement(found: readonly Found[], one: TenantSource, other: TenantSource): ResolveError {
  const credential = found.find(({ source }) => source.credential === true)
  const cause =
    credential &&
    new ResolveError('ERR_CREDENTIAL_INVALID', `Cannot accept this ${credential.source.name}: it is of another tenant`)
  return new ResolveError(
    'ERR_TENANT_AMBIGUOUS',
    `Cannot tell the tenant of this request: ${one.name} and ${other.name} name different ones`,
    cause === undefined ? {} : { cause },
  )
}
