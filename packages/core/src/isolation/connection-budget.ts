import { UnavailableError } from '../errors.ts'

/** Holds connections of one database of the server. */
export interface Holder {
  /** Closes one connection that does nothing. Returns false when all are at work. */
  dropIdle(): boolean
  /** Lets the connection that was open longest finish its work and close. Returns false when it is too young for that. */
  yieldOldest(): boolean
}

interface Waiter {
  readonly holder: Holder
  readonly grant: () => void
  readonly fail: (error: Error) => void
  readonly deadlineMs: number
}

/**
 * A busy connection serves its database at least this long before it gives way: opening one costs some 5 ms, and two
 * databases with much to do would otherwise pay that for each statement.
 */
export const MIN_SLICE_MS = 50

/** How often those who wait ask again; a busy connection gives way no sooner than this. */
const ASK_INTERVAL_MS = 20

/**
 * Bounds the connections of this process to one server, however many databases of it are in use.
 *
 * PostgreSQL binds a connection to a database, so thousands of databases share the budget in turns: who needs a connection
 * when all are taken gets one that another database left idle longest; when all are busy, the one that was open longest
 * finishes what it has and gives way. First come, first served; who waits too long is refused with `ERR_OVERLOADED`.
 */
export class ConnectionBudget {
  readonly #max: number
  readonly #waitTimeoutMs: number
  readonly #server: string
  /** Who holds connections, least recently used first. */
  readonly #holders = new Set<Holder>()
  readonly #waiting: Waiter[] = []
  #open = 0
  #asker: NodeJS.Timeout | undefined

  constructor(options: { server: string; max: number; waitTimeoutMs: number }) {
    this.#server = options.server
    this.#max = options.max
    this.#waitTimeoutMs = options.waitTimeoutMs
  }

  /** Connections open or being opened. */
  get open(): number {
    return this.#open
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Tells whether somebody waits: then a connection that falls idle is closed instead of kept. */
  get isShort(): boolean {
    return this.#waiting.length > 0
  }

  /** Says that a holder works: others give way before it. */
  touch(holder: Holder): void {
    if (this.#holders.size === 1 && this.#holders.has(holder)) return
    this.#holders.delete(holder)
    this.#holders.add(holder)
  }

  forget(holder: Holder): void {
    this.#holders.delete(holder)
  }

  /**
   * Waits for leave to open one connection. Whoever got it calls the returned function once, when the connection is closed.
   *
   * @throws {UnavailableError} `ERR_OVERLOADED` when none came free in time
   */
  async take(holder: Holder): Promise<() => void> {
    this.touch(holder)
    if (this.#open < this.#max && this.#waiting.length === 0) {
      this.#open++
    } else {
      await this.#wait(holder)
    }
    let returned = false
    return () => {
      if (returned) return
      returned = true
      this.#giveBack()
    }
  }

  #wait(holder: Holder): Promise<void> {
    return new Promise((resolve, reject) => {
      const deadlineMs = performance.now() + this.#waitTimeoutMs
      this.#waiting.push({ holder, grant: resolve, fail: reject, deadlineMs })
      this.#askIdle()
      this.#asker ??= setInterval(() => this.#ask(), ASK_INTERVAL_MS)
    })
  }

  /** A place given back goes to the first who waits without becoming free in between. */
  #giveBack(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#open--
    else next.grant()
    if (this.#waiting.length === 0) this.#rest()
  }

  #ask(): void {
    const now = performance.now()
    while (this.#waiting[0] !== undefined && this.#waiting[0].deadlineMs <= now)
      this.#waiting.shift()?.fail(this.#late())
    if (this.#waiting.length === 0) this.#rest()
    else if (!this.#askIdle()) this.#askBusy()
  }

  #askIdle(): boolean {
    for (const holder of this.#holders) if (holder.dropIdle()) return true
    return false
  }

  #askBusy(): void {
    for (const holder of this.#holders) if (holder.yieldOldest()) return
  }

  #rest(): void {
    clearInterval(this.#asker)
    this.#asker = undefined
  }

  #late(): UnavailableError {
    return new UnavailableError(
      'ERR_OVERLOADED',
      `Cannot open another connection to server "${this.#server}": all ${this.#max} are in use and none came free within ${this.#waitTimeoutMs} ms; try again later, or raise connectionsPerServer`,
      { retryAfterMs: Math.min(this.#waitTimeoutMs, 1_000) },
    )
  }
}
