import type { Model } from '../placing/placement-rules.ts'
import type { FleetHome } from './fleet-homes.ts'

/** Which homes a wave takes: those for which everything that is said holds. */
export interface WaveSelector {
  /** Ring of the tenant (`rowhouse.tenant.ring`); shared tables are in ring `shared`. */
  readonly ring?: string
  readonly plan?: string
  readonly region?: string
  readonly server?: string
  readonly model?: Model
}

/** One step in the order of a deployment. */
export interface WaveRule {
  /** For people and events, e.g. `canary`. */
  readonly name: string
  /** @defaultValue every home that no earlier wave took */
  readonly where?: WaveSelector
  /** How many homes of the wave have been reached after each portion, as growing fractions that end with 1. @defaultValue [1] */
  readonly portions?: readonly number[]
  /** Stops the run at the first home that fails, whatever the error rate allows. @defaultValue false */
  readonly strict?: boolean
}

export interface Wave {
  /** `rest 2/3` for the second of three portions. */
  readonly name: string
  readonly homes: readonly FleetHome[]
  readonly strict: boolean
}

/** Canary tenants, then the shared tables, then one tenant's home in a hundred, one in ten, all. */
export const DEFAULT_WAVES: readonly WaveRule[] = [
  { name: 'canary', where: { ring: 'canary' }, strict: true },
  { name: 'shared', where: { model: 'pooled' }, strict: true },
  { name: 'rest', portions: [0.01, 0.1, 1] },
]

/**
 * Puts homes into waves: each into the first whose selector fits. What fits none comes last, as wave `rest`.
 *
 * Within a wave homes of different servers alternate, so that a small portion tries all servers.
 *
 * @throws {RangeError} for portions that do not grow to 1, and for a name that is used twice
 */
export function arrangeWaves(homes: readonly FleetHome[], rules: readonly WaveRule[] = DEFAULT_WAVES): Wave[] {
  assertRules(rules)
  const left = new Set(homes)
  const all = rules.some(({ where }) => where === undefined) ? rules : [...rules, { name: 'rest' }]
  return all.flatMap((rule) => {
    const taken = [...left].filter((home) => fits(home, rule.where ?? {}))
    for (const home of taken) left.delete(home)
    return inPortions(rule, alternate(taken))
  })
}

function assertRules(rules: readonly WaveRule[]): void {
  const names = new Set<string>()
  for (const { name, portions = [1] } of rules) {
    if (names.has(name)) throw new RangeError(`Cannot arrange waves: "${name}" is there twice`)
    names.add(name)
    const grows = portions.every((each, index) => each > (portions[index - 1] ?? 0) && each <= 1)
    if (!grows || portions.at(-1) !== 1) {
      throw new RangeError(
        `Cannot arrange wave "${name}": its portions are ${portions.join(', ')}; wanted growing fractions that end with 1`,
      )
    }
  }
}

function fits(home: FleetHome, where: WaveSelector): boolean {
  return Object.entries(where).every(([key, value]) => home[key as keyof WaveSelector] === value)
}

function inPortions({ name, portions = [1], strict = false }: WaveRule, homes: readonly FleetHome[]): Wave[] {
  const ends = portions.map((portion) => Math.ceil(portion * homes.length))
  const waves = ends.map((end, index) => homes.slice(ends[index - 1] ?? 0, end)).filter((part) => part.length > 0)
  return waves.map((part, index) => ({
    name: waves.length === 1 ? name : `${name} ${index + 1}/${waves.length}`,
    homes: part,
    strict,
  }))
}

function alternate(homes: readonly FleetHome[]): FleetHome[] {
  const seen = new Map<string, number>()
  const placed = homes.map((home) => {
    const turn = seen.get(home.server) ?? 0
    seen.set(home.server, turn + 1)
    return { home, turn }
  })
  return placed.sort((a, b) => a.turn - b.turn).map(({ home }) => home)
}
