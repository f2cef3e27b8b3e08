/** A source of numbers that look random and come out the same for the same seed. Never for secrets. */
export class Random {
  #a: number
  #b: number
  #c: number
  #d = 1

  /** @param seed  any text; another text gives other numbers */
  constructor(seed: string) {
    const hash = hashText(seed)
    this.#a = hash
    this.#b = Math.imul(hash, 0x9e3779b1)
    this.#c = Math.imul(hash ^ 0x5bd1e995, 0x85ebca6b)
    // The first outputs still resemble the seed; twelve rounds mix it.
    for (let round = 0; round < 12; round += 1) this.#next()
  }

  /** Returns a number from 0 up to, not including, 1. */
  fraction(): number {
    return this.#next() / 2 ** 32
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

  /** Picks by weight: `[['sea', 6], ['air', 3]]` gives sea twice as often as air. */
  pickWeighted<T>(choices: readonly (readonly [T, number])[]): T {
    let rest = this.fraction() * choices.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [choice, weight] of choices) {
      rest -= weight
      if (rest < 0) return choice
    }
    return this.pick(choices)[0]
  }

  /** Returns a version 7 UUID of the given moment, so that rows lie in the index in the order they were made. */
  uuid(atMs: number): string {
    const time = Math.floor(atMs).toString(16).padStart(12, '0')
    const high = this.#next().toString(16).padStart(8, '0')
    const low = this.#next().toString(16).padStart(8, '0')
    const more = this.#next().toString(16).padStart(8, '0')
    const variant = '89ab'[this.#next() >>> 30]
    return `${time.slice(0, 8)}-${time.slice(8)}-7${high.slice(0, 3)}-${variant}${high.slice(3, 6)}-${low}${more.slice(0, 4)}`
  }

  /** One step of the sfc32 generator: 32 bits. */
  #next(): number {
    const sum = (this.#a + this.#b + this.#d) | 0
    this.#d = (this.#d + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum >>> 0
  }
}

/** FNV-1a, 32 bits. */
function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash >>> 0
}
