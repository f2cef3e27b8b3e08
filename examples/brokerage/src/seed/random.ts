/** A source of numbers that look random and come out the same for the same seed. Never for secrets. */
export class Random {
  #state: number

  /** @param seed  any text; another text gives other numbers */
  constructor(seed: string) {
    // FNV-1a, 32 bits.
    this.#state = [...seed].reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 0x01000193), 0x811c9dc5)
  }

  /** Returns a number from 0 up to, not including, 1: one step of the generator mulberry32. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** Returns a whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[Math.floor(this.fraction() * choices.length)]
    if (choice === undefined) throw new RangeError('Cannot pick from an empty list')
    return choice
  }
}
