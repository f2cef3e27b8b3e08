import type { Pool } from 'pg'
import { StatementError } from '../errors.ts'

/**
 * Prisma merges `findUnique` calls of one tick into one statement, whoever made them, and sends it in the context of the
 * first. Two tenants that ask for the same id in one tick then get the FIRST one's row: no layer below can tell, because
 * the statement is well-formed and its context valid. `rowhouse/prisma` gives each tenant context a merger of its own;
 * a pool serves Prisma only after that was done.
 *
 * Found by `test/orm/prisma.test.ts`, which keeps the leak alive as a positive control.
 */
const safe = new WeakSet<Pool>()

/** Says that the Prisma client on this pool keeps tenants apart when it merges. */
export function markMergingSafe(pool: Pool): void {
  safe.add(pool)
}

/** Refuses Prisma's adapter, recognised by the listener it puts on a pool, on a pool that was not marked. */
export function assertMayListen(pool: Pool, event: string | symbol, listener: { readonly name: string }): void {
  if (event !== 'error' || safe.has(pool)) return
  if (listener.name !== 'onIdleClientError' && !/@prisma[/+]adapter-pg/.test(new Error().stack ?? '')) return
  throw new StatementError(
    'ERR_STATEMENT_REFUSED',
    'Cannot serve this Prisma client: it merges findUnique calls of different tenants into one statement; wrap it with tenantSafePrisma(rowhouse, client) from "rowhouse/prisma"',
  )
}
