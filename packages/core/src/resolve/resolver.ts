import { ResolveError, TenantError } from '../errors.ts'
import type { DirectoryEntry, KeyGrant, TenantDirectory, TenantKey } from '../tenant/directory.ts'
import type { Tenant } from '../tenant/tenant.ts'
import { checkRequest } from './host.ts'
import { type CheckedRequest, malformed, type RequestFacts } from './request-facts.ts'
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

/** What a source said, and who answers to it. */
interface Heard {
  readonly source: TenantSource
  readonly key: TenantKey
  readonly entry: DirectoryEntry | undefined
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
      const heard = await listen(sources, request, directory)
      const { tenant } = requireAgreement(heard)
      if (tenant.state !== 'active') {
        throw new TenantError('ERR_TENANT_SUSPENDED', `Cannot serve tenant "${tenant.slug}": it is ${tenant.state}`, {
          tenantId: tenant.id,
        })
      }
      const grant = findGrant(heard)
      return { tenant, actor: grant?.actor, units: grant?.units, sources: heard.map(({ source }) => source.name) }
    },
  }
}

/** Asks every source before any lookup: what one of them refuses must not cost the database anything. */
async function listen(
  sources: readonly TenantSource[],
  request: CheckedRequest,
  directory: TenantDirectory,
): Promise<Heard[]> {
  const spoken: { source: TenantSource; key: TenantKey }[] = []
  for (const source of sources) {
    const key = await source.find(request)
    if (key !== undefined) spoken.push({ source, key })
  }
  return Promise.all(spoken.map(async (each) => ({ ...each, entry: await directory.find(each.key) })))
}

/** Returns what all sources lead to. Credentials are judged first, so that one answer does not depend on timing. */
function requireAgreement(heard: readonly Heard[]): DirectoryEntry {
  const [first] = heard
  if (first === undefined) {
    throw new ResolveError('ERR_TENANT_UNRESOLVED', 'Cannot tell the tenant of this request: no source names one')
  }
  const credential = heard.find(({ source }) => source.credential === true)?.source
  const unknown =
    heard.find(({ source, entry }) => source.credential === true && entry === undefined) ??
    heard.find(({ entry }) => entry === undefined)
  if (unknown !== undefined) throw notFound(unknown, credential)
  const other = heard.find(({ entry }) => entry?.tenant.id !== first.entry?.tenant.id)
  if (other !== undefined || first.entry === undefined) {
    throw new ResolveError(
      'ERR_TENANT_AMBIGUOUS',
      `Cannot tell the tenant of this request: ${first.source.name} and ${other?.source.name} name different ones`,
      foreign(credential),
    )
  }
  return first.entry
}

function notFound({ source, key }: Heard, credential: TenantSource | undefined): ResolveError | TenantError {
  if (source.credential === true) {
    const message = `Cannot accept this ${source.name}: it is unknown, revoked or expired`
    return new ResolveError('ERR_CREDENTIAL_INVALID', message)
  }
  const message = `Cannot serve "${key.value}": no tenant answers to this ${key.by}`
  return new TenantError('ERR_TENANT_NOT_FOUND', message, foreign(credential))
}

/** A good credential on a host it is not for must look like a bad one: `cause` says so to whoever answers the client. */
function foreign(credential: TenantSource | undefined): { cause?: ResolveError } {
  if (credential === undefined) return {}
  const message = `Cannot accept this ${credential.name}: it is not of the tenant the request is for`
  return { cause: new ResolveError('ERR_CREDENTIAL_INVALID', message) }
}

/** Who acts and in which units must be said once: with two grants, the wider one could be chosen by order alone. */
function findGrant(heard: readonly Heard[]): KeyGrant | undefined {
  const [grant, second] = heard.flatMap(({ entry }) => entry?.grant ?? [])
  if (second !== undefined) throw malformed('it carries two credentials that say who acts')
  return grant
}
