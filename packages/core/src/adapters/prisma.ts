import type { Pool } from 'pg'
import { findTenantContext, type TenantContext } from '../context/tenant-context.ts'
import { ConfigError } from '../errors.ts'
import { markMergingSafe } from '../isolation/merging-clients.ts'

/** The part of Prisma's DataLoader that is replaced; private API of Prisma 7, checked before it is touched. */
interface Loader {
  readonly options: object
  request(query: object): Promise<unknown>
}

interface RequestHandler {
  dataloader: Loader
}

/**
 * Makes a Prisma client keep tenants apart when it merges reads, and lets it use `rowhouse.pool`.
 *
 * Prisma merges the `findUnique` calls of one tick into one statement, also those of different tenants. After this,
 * each tenant context merges its own and no others. Call it once, before the first query; returns the same client.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when this version of Prisma is built differently; nothing is changed then
 * @example
 * ```ts
 * // @illustration: PrismaClient is generated from your schema
 * import { PrismaPg } from '@prisma/adapter-pg'
 * import { tenantSafePrisma } from 'rowhouse/prisma'
 * const prisma = tenantSafePrisma(rowhouse, new PrismaClient({ adapter: new PrismaPg(rowhouse.pool) }))
 * ```
 */
export function tenantSafePrisma<Client extends object>(rowhouse: { readonly pool: Pool }, client: Client): Client {
  const handler = (client as { _requestHandler?: Partial<RequestHandler> })._requestHandler
  const shared = handler?.dataloader
  if (handler === undefined || typeof shared?.request !== 'function' || typeof shared.options !== 'object') {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot keep tenants apart in this Prisma client: its loader is not where Prisma 7 has it; use a tested version (docs/guides/orms.md)',
    )
  }
  const Loader = shared.constructor as new (options: object) => Loader
  const loaders = new WeakMap<TenantContext, Loader>()
  const own = (context: TenantContext): Loader => {
    const loader = loaders.get(context) ?? new Loader(shared.options)
    loaders.set(context, loader)
    return loader
  }
  handler.dataloader = {
    options: shared.options,
    request: async (query) => {
      const context = findTenantContext()
      // Without a tenant nothing is merged with anybody's: the pool refuses the statement with the reason.
      return (context === undefined ? new Loader(shared.options) : own(context)).request(query)
    },
  }
  markMergingSafe(rowhouse.pool)
  return client
}
