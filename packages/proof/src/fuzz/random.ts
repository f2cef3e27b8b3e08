/** Numbers that depend on a seed and nothing else, so that a statement can be made again. */
export interface Random {
  /** Returns a whole number, both bounds included. */
  int(min: number, max: number): number
  /** Returns true in `percent` of 100 cases. */
  chance(percent: number): boolean
  pick<T>(from: readonly T[]): T
  /** Picks a key with the odds its value says. */
  weighted<K extends string>(odds: Readonly<Record<K, number>>): K
}

/** Makes the numbers of one statement: neighbours share nothing, so any of them can be made without the others. */
export function randomFor(seed: number, number: number): Random {
  let state = (mix(seed >>> 0) ^ mix((number + 0x9e3779b9) >>> 0)) >>> 0
  const next = () => {
    state = (state + 0x9e3779b9) >>> 0
    return mix(state) / 2 ** 32
  }
  const int = (min: number, max: number) => min + Math.floor(next() * (max - min + 1))
  return {
    int,
    chance: (percent) => next() * 100 < percent,
    pick: (from) => {
      if (from.length === 0) throw new RangeError('Cannot pick from an empty list: wanted at least one entry')
      return from[int(0, from.length - 1)] as never
    },
    weighted: (odds) => {
      const entries = Object.entries(odds) as [keyof typeof odds, number][]
      let left = next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
      for (const [key, weight] of entries) {
        left -= weight
        if (left < 0) return key
      }
      throw new RangeError('Cannot pick by weight: wanted at least one weight above 0')
    },
  }
}

/** Finaliser of splitmix32: each bit of the input changes half the bits of the answer. */
function mix(value: number): number {
  let z = value
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
  return (z ^ (z >>> 15)) >>> 0
}
