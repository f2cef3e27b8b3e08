import { UnavailableError } from '../errors.ts'

export interface GateLimits {
  /** How much work runs at once. */
  readonly slots: number
  /** How much may wait in all. */
  readonly maxWaiting: number
  /** How much of one tenant may wait: one tenant alone must not fill the queue. */
  readonly maxWaitingPerTenant: number
  /** How long work may wait, in milliseconds. */
  readonly waitTimeoutMs: number
}

interface Waiter {
  readonly start: () => void
  readonly fail: (error: UnavailableError) => void
  readonly tenantId: string
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
   * Every `start` has to be answered by one `leave()`. Returns a function that gives up waiting, or undefined.
   */
  enter(tenantId: string, start: () => void, fail: (error: UnavailableError) => void): (() => boolean) | undefined {
    if (this.#inUse < this.#limits.slots && this.#waiting === 0) {
      this.#inUse++
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
    const waiter = { start, fail, tenantId, deadlineMs: performance.now() + this.#limits.waitTimeoutMs }
    queue.push(waiter)
    this.#queues.set(tenantId, queue)
    this.#waiting++
    this.#sweeper ??= setInterval(() => this.#refuseLate(), SWEEP_INTERVAL_MS).unref()
    return () => this.#forget(waiter)
  }

  /** Gives a slot back and lets the next tenant in turn have it. */
  leave(): void {
    this.#inUse--
    while (this.#inUse < this.#limits.slots && this.#waiting > 0) {
      const next = this.#takeNext()
      if (next === undefined) return
      this.#inUse++
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

  #takeNext(): Waiter | undefined {
    const [entry] = this.#queues
    if (entry === undefined) return undefined
    const [tenantId, queue] = entry
    const waiter = queue.shift()
    this.#queues.delete(tenantId)
    if (queue.length > 0) this.#queues.set(tenantId, queue)
    if (waiter !== undefined) this.#waiting--
    if (this.#waiting === 0) this.#stopSweeping()
    return waiter
  }

  #forget(waiter: Waiter): boolean {
    const queue = this.#queues.get(waiter.tenantId)
    const index = queue?.indexOf(waiter) ?? -1
    if (queue === undefined || index === -1) return false
    queue.splice(index, 1)
    if (queue.length === 0) this.#queues.delete(waiter.tenantId)
    this.#waiting--
    if (this.#waiting === 0) this.#stopSweeping()
    return true
  }

  #refuseLate(): void {
    const now = performance.now()
    const late = [...this.#queues.values()].flat().filter((waiter) => waiter.deadlineMs <= now)
    for (const waiter of late) {
      if (!this.#forget(waiter)) continue
      waiter.fail(this.#overloaded(waiter.tenantId, `no connection came free within ${this.#limits.waitTimeoutMs} ms`))
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
