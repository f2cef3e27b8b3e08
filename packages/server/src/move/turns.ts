/**
 * How many moves of a process do something at once. A copy holds two connections to what may be one database, a cut three,
 * and both ask for the next one while they hold the first: without turns, moves that begin together hold all connections
 * and wait for more. Together they need 14 of the 16 that a database is given.
 */
const COPIES = 4
const CUTS = 2

/** Hands out turns in the order they are asked for. */
class Turns {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next()
    }
  }
}

/** For what grows with the tenant: a copy, a round, a comparison, the making of a home. Never taken for a pause. */
export const copying = new Turns(COPIES)

/** For what is short and must not wait for a copy: a cut, letting in again, a freeze. */
export const cutting = new Turns(CUTS)
