import { StatementError, UnavailableError } from '../errors.ts'
import type { DirectoryEntry } from '../tenant/directory.ts'
import type { Tenant } from '../tenant/tenant.ts'

export interface MoveQueuesConfig {
  /** How long work waits for its tenant, in milliseconds; 0 for not at all. */
  readonly waitMs: number
  /** How much may wait in all, and for one tenant. */
  readonly maxWaiting: number
  readonly maxWaitingPerTenant: number
  /** Asks the registry, not a cache. */
  readonly look: (tenantId: string) => Promise<DirectoryEntry | undefined>
}

/** What work of a tenant holds while it follows it. */
export interface Place {
  /**
   * Resolves when it is this work's turn to try again, to what the registry last said.
   *
   * @throws {UnavailableError} `ERR_TENANT_MOVING` at the deadline
   * @throws {StatementError} `ERR_STATEMENT_CANCELLED` when `signal` aborts
   */
  turn(deadlineMs: number, cause: unknown, signal: AbortSignal | undefined): Promise<DirectoryEntry | undefined>
  /** Gives the place up; `arrived` lets all others try at once. */
  leave(arrived: boolean): void
}

interface Waiter {
  readonly wake: () => void
  readonly fail: (error: Error) => void
}

interface Queue {
  /** In the order they are to try; who tried in vain stands in front again. */
  readonly waiters: Waiter[]
  readonly tenantId: string
  said: DirectoryEntry | undefined
  /** What was known when the queue was opened, until the registry has been asked. */
  known: Tenant
  present: number
  pauseMs: number
  timer: NodeJS.Timeout | undefined
}

/**
 * A fence is up for some 100 ms: short pauses find its end soon, and the longest is what a tenant that stays away costs
 * the registry and the database, one question each per pause, however much of its work waits.
 */
const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 100

/** What was not there for the whole wait will not be there at once. */
const RETRY_AFTER_MS = 1_000

/**
 * Work whose tenant is being moved, by tenant, in the order it came. It holds no connection and no lane.
 *
 * After each pause the registry is asked and the first in line tries: all others wait for what it finds, or for news of
 * the registry, so that a tenant with 1,000 waiting statements sends one per pause to a database that refuses it.
 */
export class MoveQueues {
  readonly #config: MoveQueuesConfig
  readonly #queues = new Map<string, Queue>()
  #present = 0
  #closed = false

  constructor(config: MoveQueuesConfig) {
    this.#config = config
  }

  /** Tells whether work of this tenant waits. */
  has(tenantId: string): boolean {
    return this.#queues.has(tenantId)
  }

  /** @throws {UnavailableError} `ERR_OVERLOADED` where too much waits already */
  join(tenant: Tenant): Place {
    const { maxWaiting, maxWaitingPerTenant } = this.#config
    const queue = this.#queues.get(tenant.id) ?? newQueue(tenant)
    if (this.#present >= maxWaiting || queue.present >= maxWaitingPerTenant) throw overloaded(tenant.id, queue.present)
    this.#queues.set(tenant.id, queue)
    queue.present++
    this.#present++
    let tried = false
    return {
      turn: async (deadlineMs, cause, signal) => {
        await this.#wait(queue, deadlineMs, cause, signal, tried)
        tried = true
        return queue.said
      },
      leave: (arrived) => {
        queue.present--
        this.#present--
        if (arrived) wakeAll(queue)
        if (queue.present > 0) return
        clearTimeout(queue.timer)
        if (this.#queues.get(tenant.id) === queue) this.#queues.delete(tenant.id)
      },
    }
  }

  /** Makes the error for a tenant that did not arrive in time. */
  stillMoving(tenantId: string, cause: unknown): UnavailableError {
    const { waitMs } = this.#config
    const found = waitMs === 0 ? '' : ` and was not there again within ${waitMs} ms`
    return new UnavailableError(
      'ERR_TENANT_MOVING',
      `Cannot run the statement: the tenant is being moved${found}; try again`,
      { tenantId, cause, retryAfterMs: RETRY_AFTER_MS },
    )
  }

  /** Refuses everything that waits, and whatever comes. */
  close(): void {
    this.#closed = true
    for (const { waiters, timer } of this.#queues.values()) {
      clearTimeout(timer)
      for (const waiter of waiters.splice(0)) waiter.fail(closing())
    }
  }

  #wait(
    queue: Queue,
    deadlineMs: number,
    cause: unknown,
    signal: AbortSignal | undefined,
    tried: boolean,
  ): Promise<void> {
    const { tenantId } = queue
    const leftMs = deadlineMs - performance.now()
    if (this.#closed) return Promise.reject(closing())
    if (signal?.aborted) return Promise.reject(cancelled(tenantId, signal))
    if (leftMs <= 0) return Promise.reject(this.stillMoving(tenantId, cause))
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(late)
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter = {
        wake: () => {
          settle()
          resolve()
        },
        fail: (error) => {
          settle()
          reject(error)
        },
      }
      const giveUp = (error: Error) => {
        const index = queue.waiters.indexOf(waiter)
        if (index === -1) return
        queue.waiters.splice(index, 1)
        waiter.fail(error)
      }
      const onAbort = () => giveUp(cancelled(tenantId, signal as AbortSignal))
      const late = setTimeout(() => giveUp(this.stillMoving(tenantId, cause)), leftMs)
      signal?.addEventListener('abort', onAbort, { once: true })
      if (tried) queue.waiters.unshift(waiter)
      else queue.waiters.push(waiter)
      this.#arm(queue)
    })
  }

  #arm(queue: Queue): void {
    if (queue.timer !== undefined) return
    queue.timer = setTimeout(() => void this.#ask(queue), queue.pauseMs)
    queue.pauseMs = Math.min(queue.pauseMs * 2, LONGEST_PAUSE_MS)
  }

  /** The timer stays set while the registry is asked, so that one question is under way at a time. */
  async #ask(queue: Queue): Promise<void> {
    try {
      const said = await this.#config.look(queue.tenantId)
      const news = isNews(queue, said)
      queue.said = said
      if (said !== undefined) queue.known = said.tenant
      if (news) wakeAll(queue)
    } catch {
      // Without the registry the database itself is asked, by the first in line.
    }
    queue.timer = undefined
    queue.waiters.shift()?.wake()
    if (queue.waiters.length > 0 && !this.#closed) this.#arm(queue)
  }
}

function newQueue(tenant: Tenant): Queue {
  const { id: tenantId } = tenant
  return {
    waiters: [],
    tenantId,
    known: tenant,
    said: undefined,
    present: 0,
    pauseMs: FIRST_PAUSE_MS,
    timer: undefined,
  }
}

function wakeAll(queue: Queue): void {
  for (const waiter of queue.waiters.splice(0)) waiter.wake()
}

/** The tenant is somewhere else, under another key, in another state, gone, or its move is over. */
function isNews({ known, said }: Queue, next: DirectoryEntry | undefined): boolean {
  if (next === undefined) return true
  const { epoch, keyVersion, state } = next.tenant
  if (epoch !== known.epoch || keyVersion !== known.keyVersion || state !== known.state) return true
  return said?.moving === true && next.moving !== true
}

function overloaded(tenantId: string, waiting: number): UnavailableError {
  return new UnavailableError(
    'ERR_OVERLOADED',
    `Cannot take more work now: ${waiting} statements of this tenant wait for it to be moved; try again later`,
    { tenantId, retryAfterMs: RETRY_AFTER_MS },
  )
}

function cancelled(tenantId: string, { reason }: AbortSignal): StatementError {
  return new StatementError(
    'ERR_STATEMENT_CANCELLED',
    'Cannot finish the statement: it was cancelled by its AbortSignal',
    { tenantId, cause: reason },
  )
}

function closing(): UnavailableError {
  return new UnavailableError('ERR_DATABASE_UNAVAILABLE', 'Cannot run the statement: Rowhouse is closing')
}
