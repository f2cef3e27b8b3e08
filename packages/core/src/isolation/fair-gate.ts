import { UnavailableError } from '../errors.ts'
import type { Tenant } from '../tenant/tenant.ts'

export interface GateLimits {
  /** How much work runs at once. */
  readonly slots: number
  /** How much may wait in all. */
  readonly maxWaiting: number
  /** How much of one tenant may wait: one tenant alone must not fill the queue. */
  readonly maxWaitingPerTenant: number
  /** How long work may wait, in milliseconds. */
  readonly waitTimeoutMs: number
  /** How much of one tenant may run at once, by its plan; the rest waits though slots are free. @defaultValue no bound */
  readonly maxRunningOf?: ((plan: string) => number | undefined) | undefined
}

/** Whose work it is. */
export type Entrant = Pick<Tenant, 'id' | 'plan'>

interface Waiter {
  readonly start: () => void
  readonly fail: (error: UnavailableError) => void
  readonly tenant: Entrant
  readonly deadlineMs: number
}

/** How often waiting work is checked against its deadline; also the resolution of the wait timeout. */
const SWEEP_INTERVAL_MS = 100

/**
 * Lets work in when a slot is free, and takes turns between tenants when none is.
 *
 * Bounded: work that would wait too long, or behind too much, is refused with `ERR_OVERLOADED`. Within one tenant
 * first come is first served; between tenants one each in turn, so a tenant with 1,000 waiting statements delays
 * another's next one by a single statement.
 */
export class FairGate {
  readonly #limits: GateLimits
  /** Waiting work by tenant; Map order is the order of turns. */
  readonly #queues = new Map<string, Waiter[]>()
  /** Running work of tenants whose plan bounds it. */
  readonly #running = new Map<string, number>()
  #inUse = 0
  #waiting = 0
  #sweeper: NodeJS.Timeout | undefined

  constructor(limits: GateLimits) {
    this.#limits = limits
  }

  get waiting(): number {
    return this.#waiting
  }

  get inUse(): number {
    return this.#inUse
  }

  /**
   * Calls `start` at once when a slot is free, later in turn otherwise; calls `fail` when the work is refused.
   * Every `start` has to be answered by one `leave()` of the same tenant. Returns a function that gives up waiting, or undefined.
   */
  enter(tenant: Entrant, start: () => void, fail: (error: UnavailableError) => void): (() => boolean) | undefined {
    const tenantId = tenant.id
    if (
      this.#inUse < this.#limits.slots &&
      !this.#isAtItsBound(tenant) &&
      (this.#waiting === 0 || this.#allAtBound())
    ) {
      this.#admit(tenant)
      start()
      return undefined
    }
    const queue = this.#queues.get(tenantId) ?? []
    if (this.#waiting >= this.#limits.maxWaiting || queue.length >= this.#limits.maxWaitingPerTenant) {
      fail(
        this.#overloaded(tenantId, `${this.#waiting} statements wait already, ${queue.length} of them of this tenant`),
      )
      return undefined
    }
    const waiter = { start, fail, tenant, deadlineMs: performance.now() + this.#limits.waitTimeoutMs }
    queue.push(waiter)
    this.#queues.set(tenantId, queue)
    this.#waiting++
    this.#sweeper ??= setInterval(() => this.#refuseLate(), SWEEP_INTERVAL_MS).unref()
    return () => this.#forget(waiter)
  }

  /** Gives a slot back and lets the next tenant in turn have it. */
  leave(tenant: Entrant): void {
    this.#inUse--
    const running = this.#running.get(tenant.id)
    if (running === 1) this.#running.delete(tenant.id)
    else if (running !== undefined) this.#running.set(tenant.id, running - 1)
    while (this.#inUse < this.#limits.slots && this.#waiting > 0) {
      const next = this.#takeNext()
      if (next === undefined) return
      this.#admit(next.tenant)
      next.start()
    }
  }

  /** Refuses everything that waits, e.g. because the pool closes. */
  refuseAll(error: UnavailableError): void {
    const waiting = [...this.#queues.values()].flat()
    this.#queues.clear()
    this.#waiting = 0
    this.#stopSweeping()
    for (const waiter of waiting) waiter.fail(error)
  }

  #admit({ id, plan }: Entrant): void {
    this.#inUse++
    if (this.#limits.maxRunningOf?.(plan) !== undefined) this.#running.set(id, (this.#running.get(id) ?? 0) + 1)
  }

  #isAtItsBound({ id, plan }: Entrant): boolean {
    const bound = this.#limits.maxRunningOf?.(plan)
    return bound !== undefined && (this.#running.get(id) ?? 0) >= bound
  }

  /** Tells whether nobody who waits could run now: then whoever comes goes past them. */
  #allAtBound(): boolean {
    if (this.#limits.maxRunningOf === undefined) return false
    for (const [first] of this.#queues.values())
      if (first !== undefined && !this.#isAtItsBound(first.tenant)) return false
    return true
  }

  #takeNext(): Waiter | undefined {
    for (const [tenantId, queue] of this.#queues) {
      const [waiter] = queue
      if (waiter === undefined || this.#isAtItsBound(waiter.tenant)) continue
      queue.shift()
      this.#queues.delete(tenantId)
      if (queue.length > 0) this.#queues.set(tenantId, queue)
      this.#waiting--
      if (this.#waiting === 0) this.#stopSweeping()
      return waiter
    }
    return undefined
  }

  #forget(waiter: Waiter): boolean {
    const queue = this.#queues.get(waiter.tenant.id)
    const index = queue?.indexOf(waiter) ?? -1
    if (queue === undefined || index === -1) return false
    queue.splice(index, 1)
    if (queue.length === 0) this.#queues.delete(waiter.tenant.id)
    this.#waiting--
    if (this.#waiting === 0) this.#stopSweeping()
    return true
  }

  #refuseLate(): void {
    const now = performance.now()
    const late = [...this.#queues.values()].flat().filter((waiter) => waiter.deadlineMs <= now)
    for (const waiter of late) {
      if (!this.#forget(waiter)) continue
      waiter.fail(this.#overloaded(waiter.tenant.id, `no connection came free within ${this.#limits.waitTimeoutMs} ms`))
    }
  }

  #stopSweeping(): void {
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }

  #overloaded(tenantId: string, found: string): UnavailableError {
    return new UnavailableError('ERR_OVERLOADED', `Cannot take more work now: ${found}; try again later`, {
      tenantId,
      retryAfterMs: Math.min(this.#limits.waitTimeoutMs, 1_000),
    })
  }
}
