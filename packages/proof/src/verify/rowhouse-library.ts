import type { QueryResult } from 'pg'
import {
  createRowhouse,
  fromApiKey,
  fromSubdomain,
  fromTrustedHeader,
  type Rowhouse,
  type RowhouseOptions,
  type TenantScope,
} from 'rowhouse'
import type { Library, TenantRef } from './arena.ts'

/** Ends a transaction that did what was asked of it: nothing an attack does is kept. */
class RolledBack extends Error {
  readonly result: unknown
  constructor(result: unknown) {
    super('rolled back')
    this.result = result
  }
}

/** The application's code in front of Rowhouse, as it is delivered. One connection of each kind, so that tenants meet on it. */
export async function openRowhouseLibrary(url: string, rootKey: string): Promise<Library> {
  const rowhouse = await createRowhouse({ url, rootKey, ...OPTIONS })
  return {
    name: 'rowhouse',
    asTenant: (tenant, text, values) =>
      rowhouse.withTenant(scopeOf(tenant), (db) => db.query(text, values)) as Promise<QueryResult>,
    attempt: (tenant, fn) => attempt(rowhouse, tenant, fn),
    withoutTenant: (text) => rowhouse.pool.query(text),
    contextOf: async (tenant) => {
      const { seal } = await rowhouse.withTenant(tenant.slug, (db) =>
        db.one<{ seal: string }>(`select current_setting('rowhouse.seal') as seal`),
      )
      return [{ text: `select set_config('rowhouse.seal', $1, true)`, values: [seal] }]
    },
    resolve: async (request) => (await rowhouse.enter(request)).tenant.slug,
    close: () => rowhouse.close(),
  }
}

/**
 * A leak is what is looked for here: the database's answer counts, so the tripwire behind it stays out of the way.
 * The sources are the usual three; the attacks on them are about how they are combined.
 */
const OPTIONS: Partial<RowhouseOptions> = {
  poolSize: 2,
  lanes: 1,
  tripwire: 'off',
  applicationName: 'rowhouse-verify',
  sources: [
    fromSubdomain({ base: 'app.test' }),
    fromApiKey(),
    fromTrustedHeader({ header: 'x-tenant-id', proxies: ['10.0.0.0/8'] }),
  ],
}

function scopeOf({ slug, units }: TenantRef): TenantScope {
  return { tenant: slug, ...(units === undefined ? {} : { units }) }
}

async function attempt<T>(rowhouse: Rowhouse, tenant: TenantRef, fn: Parameters<Library['attempt']>[1]): Promise<T> {
  try {
    await rowhouse.withTenant(scopeOf(tenant), (db) =>
      db.transaction(async (tx) => {
        throw new RolledBack(await fn({ query: (text, values) => tx.query(text, values) }))
      }),
    )
  } catch (error) {
    if (error instanceof RolledBack) return error.result as T
    throw error
  }
  throw new Error('Cannot roll an attack back: the transaction ended without it')
}
