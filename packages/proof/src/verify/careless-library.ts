import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'
import type { Library, TenantRef } from './arena.ts'

/**
 * What many applications have instead: the tenant is set for the session and stays on the connection, and it is read
 * from the asynchronous context when a connection is free rather than when the call is made. The positive control of
 * every attack on connections and context.
 *
 * @param sealOf  returns a valid context, so that the database's own walls are not what stops it
 * @param homeOf  returns the schema of a tenant that has one of its own
 */
export function openCarelessLibrary(
  url: string,
  sealOf: (tenant: TenantRef) => Promise<string>,
  homeOf: (tenant: TenantRef) => string | undefined = () => undefined,
): Library {
  const tenants = new AsyncLocalStorage<TenantRef>()
  const seals = new Map<string, string>()
  const keep = async (tenant: TenantRef) => {
    if (!seals.has(tenant.id)) seals.set(tenant.id, await sealOf(tenant))
  }
  /** Reads the tenant when the connection is free: then it is that of whoever released it. */
  class CarelessClient extends pg.Client {
    // biome-ignore lint/suspicious/noExplicitAny: pg declares an overload per shape of query
    override query(...args: any[]): any {
      const tenant = tenants.getStore()
      const seal = tenant === undefined ? undefined : seals.get(tenant.id)
      const send = super.query.bind(this) as (...sent: unknown[]) => unknown
      if (seal === undefined) return send(...args)
      const home = tenant === undefined ? undefined : homeOf(tenant)
      const path = home === undefined ? '' : `, set_config('search_path', '${home}, public', false)`
      const set = `select set_config('rowhouse.seal', '${seal.replaceAll("'", "''")}', false)${path}`
      if (typeof args.at(-1) === 'function') return send(set, () => send(...args))
      return (send(set) as Promise<unknown>).then(() => send(...args))
    }
  }
  const pool = new pg.Pool({
    connectionString: url,
    max: 1,
    allowExitOnIdle: true,
    Client: CarelessClient,
  } as pg.PoolConfig)
  pool.on('error', () => {})
  const run = (text: string, values?: readonly unknown[]) =>
    pool.query(text, values === undefined ? undefined : [...values])
  return {
    name: 'careless',
    asTenant: async (tenant, text, values) => {
      await keep(tenant)
      return tenants.run(tenant, () => run(text, values))
    },
    attempt: (tenant, fn) =>
      tenants.run(tenant, async () => {
        await keep(tenant)
        const client = await pool.connect()
        try {
          await client.query('begin')
          return await fn({
            query: (text, values) => client.query(text, values === undefined ? undefined : [...values]),
          })
        } finally {
          await client.query('rollback').catch(() => {})
          client.release()
        }
      }),
    withoutTenant: (text) => run(text),
    contextOf: async (tenant) => [
      { text: `select set_config('rowhouse.seal', $1, false)`, values: [await sealOf(tenant)] },
    ],
    // The first thing that says something is believed, and a header of anybody's comes first.
    resolve: async (request) => {
      const value = (name: string) =>
        request.rawHeaders.find((_, index) => request.rawHeaders[index - 1]?.toLowerCase() === name && index % 2 === 1)
      const named = value('x-tenant-id') ?? (value('x-forwarded-host') ?? value('host'))?.split('.')[0]
      if (named === undefined) throw new Error('no tenant')
      return named
    },
    close: () => pool.end(),
  }
}

/**
 * What many applications have in front of a database per tenant: the tenant of the moment is kept in one variable, and
 * read when the work begins.
 *
 * @param homes  a library in front of the database of each tenant, by its id
 */
export function openForgetfulRouter(homes: ReadonlyMap<string, Library>): Library {
  let current: TenantRef | undefined
  const routed = async (tenant: TenantRef): Promise<[Library, TenantRef]> => {
    current = tenant
    await new Promise(setImmediate)
    const library = homes.get(current.id)
    if (library === undefined) throw new Error('no database for this tenant')
    return [library, current]
  }
  const first = [...homes.values()][0] as Library
  return {
    ...first,
    name: 'forgetful',
    asTenant: async (tenant, text, values) => {
      const [library, chosen] = await routed(tenant)
      return library.asTenant(chosen, text, values)
    },
    attempt: async (tenant, fn) => {
      const [library, chosen] = await routed(tenant)
      return library.attempt(chosen, fn)
    },
    close: async () => {
      for (const library of homes.values()) await library.close()
    },
  }
}
