import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'
import type { Library, TenantRef } from './arena.ts'

/**
 * What many applications have instead: the tenant is set for the session and stays on the connection, and it is read
 * from the asynchronous context when a connection is free rather than when the call is made. The positive control of
 * every attack on connections and context.
 *
 * @param sealOf  returns a valid context, so that the database's own walls are not what stops it
 */
export function openCarelessLibrary(url: string, sealOf: (tenant: TenantRef) => Promise<string>): Library {
  const tenants = new AsyncLocalStorage<TenantRef>()
  const pool = new pg.Pool({ connectionString: url, max: 1, allowExitOnIdle: true })
  pool.on('error', () => {})
  const run = async (text: string, values?: readonly unknown[]) => {
    const client = await pool.connect()
    try {
      const tenant = tenants.getStore()
      if (tenant !== undefined)
        await client.query(`select set_config('rowhouse.seal', $1, false)`, [await sealOf(tenant)])
      return await client.query(text, values === undefined ? undefined : [...values])
    } finally {
      client.release()
    }
  }
  return {
    name: 'careless',
    asTenant: (tenant, text, values) => tenants.run(tenant, () => run(text, values)),
    attempt: (tenant, fn) =>
      tenants.run(tenant, async () => {
        const client = await pool.connect()
        try {
          await client.query(`select set_config('rowhouse.seal', $1, false)`, [await sealOf(tenant)])
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
    close: () => pool.end(),
  }
}
