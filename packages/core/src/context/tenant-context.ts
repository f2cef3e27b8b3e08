import { AsyncLocalStorage } from 'node:async_hooks'
import { TenantContextError } from '../errors.ts'
import type { Tenant } from '../tenant/tenant.ts'
import type { UnitId } from '../tenant/tenant-id.ts'

/**
 * Whose work is being done: set once per request or block, read by everything that talks to the database.
 *
 * Immutable. The seal is made from it, so actor and units hold inside PostgreSQL as well.
 */
export interface TenantContext {
  readonly tenant: Tenant
  /** Who acts, e.g. `user:42`. Recorded by audit; the transaction cannot claim another one. */
  readonly actor: string | undefined
  /** Units this work may see in tables with unit scope; undefined means all, an empty list none. */
  readonly units: readonly UnitId[] | undefined
  /** True when every statement of this work runs in a read-only transaction. */
  readonly readOnly: boolean
  /** Upper bound for each statement, in milliseconds; undefined means the pool's default. */
  readonly timeoutMs: number | undefined
  /** Where reads go, and what they have to see; undefined means the primary. */
  readonly reads?: ReadRouting | undefined
}

/** `replica` allows one that shows what a read has to see, and the primary otherwise. */
export type ReadsFrom = 'primary' | 'replica'

export interface ReadRouting {
  readonly from: ReadsFrom
  /** Token of writes that have to be seen. */
  readonly after: string | undefined
  /** How old what a replica shows may be, in milliseconds. */
  readonly maxLagMs: number | undefined
}

interface Frame {
  readonly context: TenantContext | undefined
  /** True inside a transaction block of `db.transaction`. */
  readonly inTransaction: boolean
}

/** The only global state of Rowhouse: which context the running asynchronous work belongs to. */
const store = new AsyncLocalStorage<Frame>()

/** Returns the context of the running work, or undefined outside of any. */
export function findTenantContext(): TenantContext | undefined {
  return store.getStore()?.context
}

/**
 * Returns the context of the running work.
 *
 * @throws {TenantContextError} `ERR_TENANT_CONTEXT_MISSING` outside of `withTenant` and of a resolved request
 */
export function requireTenantContext(): TenantContext {
  const context = findTenantContext()
  if (context === undefined) {
    throw new TenantContextError(
      'ERR_TENANT_CONTEXT_MISSING',
      'Cannot reach tenant data: no tenant is set for this work; call withTenant() or put the tenantFromRequest() middleware before this handler',
    )
  }
  return context
}

/** Runs `fn` with `context`; the context is gone when `fn` settles, also after an error. */
export function runWithTenantContext<T>(context: TenantContext, fn: () => T): T {
  return store.run({ context, inTransaction: false }, fn)
}

/** Runs `fn` with `context` inside an open transaction block: another tenant cannot be entered from there. */
export function runInTransaction<T>(context: TenantContext, fn: () => T): T {
  return store.run({ context, inTransaction: true }, fn)
}

/** Tells whether the running work is inside a transaction block of `db.transaction`. */
export function isInTransaction(): boolean {
  return store.getStore()?.inTransaction === true
}

/** Runs `fn` outside of every tenant, for work of the library itself that must not inherit one. */
export function runWithoutTenantContext<T>(fn: () => T): T {
  return store.run({ context: undefined, inTransaction: false }, fn)
}

/**
 * Calls `fn` and subscribes to its result at once, in the context that runs now.
 *
 * Prisma and Knex return promises that begin to work when somebody calls `then`. Returned from a block and awaited
 * outside of it, they would begin without a tenant.
 */
export function settleInside<T>(fn: () => PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    Promise.resolve(fn().then(resolve, reject)).catch(reject)
  })
}
