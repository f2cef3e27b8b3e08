import type { QueryResultRow } from 'pg'
import { findTenantContext, runWithTenantContext, settleInside, type TenantContext } from '../context/tenant-context.ts'
import { AccessError } from '../errors.ts'
import { toRowhouseError } from '../postgres/database-error.ts'
import { RAISED } from '../postgres/sqlstate.ts'
import { PLATFORM } from '../tenant/platform.ts'
import { type Tenant, type TenantRow, toTenant } from '../tenant/tenant.ts'
import type { Router } from './router.ts'
import { toStatement } from './scoped-client.ts'
import { createScopedDb, type ScopedDb } from './scoped-db.ts'

export interface CrossTenantOptions {
  /** Why, e.g. an incident number; 3–1 000 characters, kept in the log. */
  readonly reason: string
  /** Who, e.g. `staff:7`; kept in the log and sealed into every statement. */
  readonly actor: string
  /** Slugs or ids, or `'all'` active tenants. */
  readonly tenants: 'all' | readonly string[]
  /** Allows writing. @defaultValue false */
  readonly write?: boolean
}

/** What happened for one tenant; a failure of one does not end the others. */
export type TenantOutcome<T> =
  | { readonly tenant: Tenant; readonly ok: true; readonly value: T }
  | { readonly tenant: Tenant; readonly ok: false; readonly error: Error }

/** Work over several tenants, one tenant at a time: every statement carries exactly one tenant's seal. */
export interface AcrossTenants {
  /** Id under which this work is in the log. */
  readonly crossingId: string
  readonly tenants: readonly Tenant[]
  /** Runs `fn` once per tenant, at most `concurrency` at a time, in the order of slugs. */
  each<T>(fn: (db: ScopedDb, tenant: Tenant) => Promise<T>, concurrency?: number): Promise<TenantOutcome<T>[]>
  /** Runs one statement in every tenant and returns each one's rows. */
  many<R extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: readonly unknown[],
  ): Promise<TenantOutcome<R[]>[]>
}

/** Tenants worked on at once; more would only queue behind the connections of one process. */
const DEFAULT_CONCURRENCY = 8

/** Opens work across tenants: the log is written and committed before `fn` runs. */
export async function runAcrossTenants<T>(
  router: Router,
  options: CrossTenantOptions,
  fn: (across: AcrossTenants) => Promise<T>,
): Promise<T> {
  assertAllowed(options)
  const platform = platformContext(options.actor)
  const crossing = await open(router, platform, options)
  const across = createAcross(router, crossing, options)
  try {
    const result = await fn(across)
    await close(router, platform, crossing.id, 'done')
    return result
  } catch (error) {
    await close(router, platform, crossing.id, 'failed').catch(() => {})
    throw error
  }
}

/** The context of the platform's own statements: directory and crossings. */
export function platformContext(actor?: string): TenantContext {
  return { tenant: PLATFORM, actor, units: undefined, readOnly: false, timeoutMs: undefined }
}

interface Crossing {
  readonly id: string
  readonly tenants: readonly Tenant[]
}

function assertAllowed({ reason, actor, tenants }: CrossTenantOptions): void {
  if (findTenantContext() !== undefined) {
    throw refused(
      'it was called inside the work of one tenant; call it from platform code, outside of withTenant() and of tenant requests',
    )
  }
  if (typeof reason !== 'string' || reason.trim().length < 3 || reason.length > 1_000) {
    throw refused('no reason was given; name one of 3 to 1 000 characters, e.g. an incident number')
  }
  if (typeof actor !== 'string' || actor.trim() === '' || actor.length > 200) {
    throw refused('no actor was given; name who does this, in at most 200 characters')
  }
  if (tenants !== 'all' && (!Array.isArray(tenants) || tenants.length === 0)) {
    throw refused(`no tenants were given; name their slugs, or 'all'`)
  }
}

function refused(found: string): AccessError {
  return new AccessError('ERR_CROSS_TENANT_REFUSED', `Cannot work across tenants: ${found}`)
}

interface OpenedRow extends TenantRow {
  readonly crossing_id: string
}

const OPEN = 'select * from rowhouse.open_crossing($1, $2, $3, $4)'

async function open(router: Router, platform: TenantContext, options: CrossTenantOptions): Promise<Crossing> {
  const { actor, reason, tenants, write = false } = options
  const slugs = tenants === 'all' ? null : [...new Set(tenants)]
  const values = [actor, reason, slugs, write]
  const { rows } = await router.run(platform, toStatement(OPEN, values)).catch((error) => {
    if (error?.constraint === RAISED.crossingTenants) {
      throw refused('not every named tenant exists and is active; check the slugs')
    }
    throw toRowhouseError(error)
  })
  const opened = rows as OpenedRow[]
  return {
    id: opened[0]?.crossing_id ?? '',
    tenants: opened.map(toTenant),
  }
}

async function close(router: Router, platform: TenantContext, crossing: string, how: 'done' | 'failed'): Promise<void> {
  if (crossing === '') return
  await router.run(platform, toStatement('select rowhouse.close_crossing($1, $2)', [crossing, how])).catch((error) => {
    throw toRowhouseError(error)
  })
}

function createAcross(router: Router, crossing: Crossing, { actor, write = false }: CrossTenantOptions): AcrossTenants {
  const each: AcrossTenants['each'] = async (fn, concurrency = DEFAULT_CONCURRENCY) => {
    const outcomes: TenantOutcome<never>[] = new Array(crossing.tenants.length)
    const pending = crossing.tenants.entries()
    const worker = async () => {
      for (const [index, tenant] of pending) {
        const context: TenantContext = { tenant, actor, units: undefined, readOnly: !write, timeoutMs: undefined }
        const db = createScopedDb(router, () => context)
        outcomes[index] = await runWithTenantContext(context, () => settleInside(() => fn(db, tenant))).then(
          (value) => ({ tenant, ok: true, value }) as never,
          (error) => ({ tenant, ok: false, error: toRowhouseError(error, tenant.id) }),
        )
      }
    }
    await Promise.all(Array.from({ length: Math.max(1, concurrency) }, worker))
    return outcomes as never
  }
  return {
    crossingId: crossing.id,
    tenants: crossing.tenants,
    each,
    many: (text, values) => each((db) => db.many(text, values)) as never,
  }
}
