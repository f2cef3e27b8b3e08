import { runWithoutTenantContext, type TenantContext } from '../context/tenant-context.ts'
import { TenantError } from '../errors.ts'
import { isContextRefused, isTenantMoving } from '../postgres/database-error.ts'
import { SQLSTATE } from '../postgres/sqlstate.ts'
import type { Sealer } from '../seal/seal.ts'
import type { DirectoryEntry, TenantDirectory } from '../tenant/directory.ts'
import type { Tenant } from '../tenant/tenant.ts'
import { MoveQueues, type Place } from './move-queues.ts'

export interface MovedTenantsConfig {
  /** How long work waits for a tenant on its way, in milliseconds; 0 for not at all. */
  readonly moveWaitMs: number
  readonly maxWaiting: number
  readonly maxWaitingPerTenant: number
}

/** Work that met a database in which its tenant does not answer, and has done nothing there. */
export interface DisplacedWork<T> {
  readonly context: TenantContext
  /** What was known of the tenant when it was sent. */
  readonly sealedAs: Tenant
  /** Undefined when it could not be sent at all. */
  readonly refused: unknown
  readonly signal?: AbortSignal | undefined
  /** Called before each wait: whatever is held meanwhile, others could use. */
  readonly letGo?: () => void
  /** Sends it to where the tenant lives as far as is known now. */
  readonly send: () => Promise<T>
}

type Whereabouts = 'there' | 'on its way' | 'unmoved'

/**
 * Sends work after tenants that moved, and lets it wait for those on their way.
 *
 * A refused seal says that the registry's answer is old: it is asked again. Where it knows of nothing newer, the refusal
 * stands, unless it says that the tenant is being moved: then the fence is up, and the work waits until it is gone.
 */
export class MovedTenants {
  readonly #sealer: Sealer
  readonly #waitMs: number
  readonly #queues: MoveQueues
  #directory: TenantDirectory | undefined

  constructor({ moveWaitMs: waitMs, maxWaiting, maxWaitingPerTenant }: MovedTenantsConfig, sealer: Sealer) {
    this.#sealer = sealer
    this.#waitMs = waitMs
    this.#queues = new MoveQueues({ waitMs, maxWaiting, maxWaitingPerTenant, look: (id) => this.#look(id) })
  }

  /** Says where to look tenants up. */
  setDirectory(directory: TenantDirectory): void {
    this.#directory = directory
  }

  /** Tells whether work of this tenant waits for it. */
  isAwaited(tenantId: string): boolean {
    return this.#queues.has(tenantId)
  }

  /**
   * Sends work again: at once where the registry says something new, in its turn while the tenant is on its way.
   *
   * @throws `refused` when the registry knows of nothing newer, and whatever `send` throws
   * @throws {UnavailableError} `ERR_TENANT_MOVING`, `ERR_OVERLOADED`
   * @throws {TenantError} `ERR_TENANT_NOT_FOUND`, `ERR_TENANT_SUSPENDED`
   */
  async follow<T>({ context, signal, letGo, send, ...work }: DisplacedWork<T>): Promise<T> {
    const deadlineMs = performance.now() + this.#waitMs
    let { sealedAs, refused } = work
    let place: Place | undefined
    let arrived = false
    let isLast = false
    try {
      for (;;) {
        const found =
          refused === undefined ? 'there' : await this.#find(context, sealedAs, refused, place !== undefined)
        // A fence is lowered before the registry says so: what was refused just before is not refused again.
        if (found === 'unmoved' && isLast) throw refused
        isLast = found === 'unmoved'
        if (found === 'on its way') {
          if (performance.now() >= deadlineMs) throw this.#queues.stillMoving(sealedAs.id, refused)
          place ??= this.#queues.join(sealedAs)
          letGo?.()
          const said = await place.turn(deadlineMs, refused, signal)
          if (said !== undefined) this.#adopt(context, sealedAs, said)
        }
        sealedAs = this.#sealer.currentTenant(context.tenant)
        try {
          const result = await send()
          arrived = true
          return result
        } catch (error) {
          arrived = !isDisplaced(error)
          if (arrived) throw error
          refused = error
        }
      }
    } finally {
      place?.leave(arrived)
    }
  }

  /** Looks the tenant up again, for the work that comes next. Returns what was found. */
  async refresh(context: TenantContext, sealedAs: Tenant): Promise<DirectoryEntry> {
    const found = await this.#look(sealedAs.id)
    return this.#adopt(context, sealedAs, found)
  }

  /** Refuses everything that waits. */
  close(): void {
    this.#queues.close()
  }

  /** Finds out where the tenant of refused work is; `unmoved` where the registry knows of nothing newer. */
  async #find(context: TenantContext, sealedAs: Tenant, refused: unknown, waited: boolean): Promise<Whereabouts> {
    // The lock itself says so: a move holds it now, whatever the registry knows of it.
    if (isTenantMoving(refused)) return 'on its way'
    // Another statement of this tenant may have found out first; its finding serves this one too.
    if (this.#sealer.currentTenant(context.tenant) !== sealedAs) return 'there'
    if (!waited && this.#queues.has(sealedAs.id)) return 'on its way'
    const { moving } = await this.refresh(context, sealedAs)
    if (this.#sealer.currentTenant(context.tenant) !== sealedAs) return 'there'
    return moving === true ? 'on its way' : 'unmoved'
  }

  #adopt(context: TenantContext, sealedAs: Tenant, found: DirectoryEntry | undefined): DirectoryEntry {
    const { id: tenantId } = sealedAs
    if (found === undefined) {
      throw new TenantError('ERR_TENANT_NOT_FOUND', 'Cannot continue for this tenant: it no longer exists', {
        tenantId,
      })
    }
    const { tenant } = found
    if (tenant.state !== 'active') {
      throw new TenantError('ERR_TENANT_SUSPENDED', `Cannot continue for this tenant: it is ${tenant.state}`, {
        tenantId,
      })
    }
    const differs = tenant.epoch !== sealedAs.epoch || tenant.keyVersion !== sealedAs.keyVersion
    // Answers may overtake each other: what another statement has found meanwhile stays.
    if (differs && this.#sealer.currentTenant(context.tenant) === sealedAs) {
      this.#sealer.replaceTenant(context.tenant, tenant)
    }
    return found
  }

  async #look(tenantId: string): Promise<DirectoryEntry | undefined> {
    this.#directory?.invalidate(tenantId)
    return runWithoutTenantContext(async () => this.#directory?.find({ by: 'id', value: tenantId }))
  }
}

/** The database knows no such seal, is gone, or is behind the fence of a move: nothing of the work has run there. */
export function isDisplaced(error: unknown): boolean {
  return (
    isContextRefused(error) ||
    isTenantMoving(error) ||
    (error as { code?: unknown } | undefined)?.code === SQLSTATE.undefinedDatabase
  )
}
