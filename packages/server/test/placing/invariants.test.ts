import { PlacementError } from 'rowhouse'
import { describe, expect, it } from 'vitest'
import { choosePlacement, type PlacementChoice } from '../../src/placing/choose-placement.ts'
import { compilePlacementRules } from '../../src/placing/compile-rules.ts'
import type { PlacementRequest, ServerNow } from '../../src/placing/placement-request.ts'
import { MODELS, type PlacementRule } from '../../src/placing/placement-rules.ts'
import { request, server } from './facts.ts'

const RUNS = 4_000
const REGIONS = ['eu', 'us', 'ap']

/** Conditions are made of these, so that rules overlap. */
const CONDITIONS = [
  'true',
  'tenant.plan == "pro"',
  'tenant.plan != "pro"',
  '"hipaa" in tenant.compliance',
  'tenant.expectedRows > 500',
  'tenant.region == "eu"',
  'has(tenant.labels.vip)',
]

/** Numbers from a seed, the same in each run: a failure names its seed and can be run again alone (mulberry32). */
function numbersFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface World {
  readonly rules: readonly PlacementRule[]
  readonly servers: readonly ServerNow[]
  readonly request: PlacementRequest
}

function worldOf(seed: number): World {
  const next = numbersFrom(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T
  const maybe = <T>(chance: number, value: () => T): T | undefined => (next() < chance ? value() : undefined)
  const servers = Array.from({ length: 2 + Math.floor(next() * 7) }, (_, index) =>
    server(`s${index}`, {
      region: pick(REGIONS),
      kind: pick(['postgres', 'postgres', 'citus']),
      state: pick(['active', 'active', 'active', 'draining', 'down']),
      capacity: pick([null, null, 10, 10, 0]),
      tenants: Math.floor(next() * 11),
    }),
  )
  const rules = Array.from({ length: Math.floor(next() * 5) }, (_, index): PlacementRule => {
    const region = maybe(0.3, () => pick(REGIONS))
    const name = maybe(0.2, () => `s${Math.floor(next() * 7)}`)
    const require = maybe(0.4, () => true)
    return {
      name: `r${index}`,
      when: pick(CONDITIONS),
      model: pick(MODELS),
      ...(region !== undefined && { region }),
      ...(name !== undefined && { server: name }),
      ...(require !== undefined && { require }),
    }
  })
  const model = maybe(0.3, () => pick(MODELS))
  const region = maybe(0.2, () => pick(REGIONS))
  const name = maybe(0.2, () => `s${Math.floor(next() * 7)}`)
  const facts = {
    plan: pick(['pro', 'free']),
    region: pick(['', ...REGIONS]),
    compliance: pick([[], ['hipaa']]),
    expectedRows: pick([0, 1_000]),
    labels: pick([{}, { vip: 'yes' }]),
  }
  const operator = {
    ...(model !== undefined && { model }),
    ...(region !== undefined && { region }),
    ...(name !== undefined && { server: name }),
  }
  return { rules, servers, request: request(facts, operator) }
}

function place({ rules, servers, request }: World) {
  const compiled = compilePlacementRules({ rules, default: { model: 'pooled' } })
  try {
    return { compiled, choice: choosePlacement(compiled, request, servers), refusal: undefined }
  } catch (error) {
    if (!(error instanceof PlacementError)) throw error
    return { compiled, choice: undefined, refusal: error }
  }
}

/** What a placement may never be. */
function findWrongs(world: World, choice: Pick<PlacementChoice, 'model' | 'server' | 'region'>): string[] {
  const { region } = world.request.tenant
  const chosen = world.servers.find(({ name }) => name === choice.server)
  if (chosen === undefined) return ['nowhere']
  const wrongs = {
    full: chosen.capacity !== null && chosen.tenants >= chosen.capacity,
    closed: chosen.state !== 'active',
    abroad: region !== '' && chosen.region !== region,
    unfit: chosen.kind === 'citus' && choice.model !== 'pooled',
    'not the one asked for': (world.request.operator?.server ?? choice.server) !== choice.server,
    misreported: chosen.region !== choice.region,
  }
  return Object.entries(wrongs).flatMap(([name, holds]) => (holds ? [name] : []))
}

const worlds = Array.from({ length: RUNS }, (_, seed) => ({ seed, ...worldOf(seed) }))

describe(`${RUNS} generated sets of rules, servers and tenants`, () => {
  it('contain many that are placed and many that are not, or the rest would prove nothing', () => {
    const placed = worlds.filter((world) => place(world).choice !== undefined).length
    expect(placed).toBeGreaterThan(RUNS / 5)
    expect(placed).toBeLessThan((RUNS * 4) / 5)
  })

  it('never place a tenant on a server that is full, draining, down, of another region or unfit for its model', () => {
    for (const world of worlds) {
      const { choice } = place(world)
      if (choice !== undefined) expect([world.seed, findWrongs(world, choice)]).toEqual([world.seed, []])
    }
  })

  it('would show each of these wrongs, were the first server taken that comes along', () => {
    const wrongs = worlds.flatMap((world) => {
      const [first] = world.servers
      return first ? findWrongs(world, { model: 'schema', server: first.name, region: 'eu' }) : []
    })
    for (const wrong of ['full', 'closed', 'abroad', 'unfit', 'not the one asked for', 'misreported'])
      expect(wrongs.filter((each) => each === wrong).length, wrong).toBeGreaterThan(RUNS / 50)
  })

  it('never place a tenant below what a rule that binds requires', () => {
    for (const world of worlds) {
      const { choice, compiled } = place(world)
      if (choice === undefined) continue
      const binding = compiled.rules.filter((rule) => rule.require && rule.matches(world.request.tenant))
      for (const rule of binding) {
        expect([world.seed, MODELS.indexOf(choice.model) >= MODELS.indexOf(rule.model)]).toEqual([world.seed, true])
        if (rule.region !== undefined) expect([world.seed, choice.region]).toEqual([world.seed, rule.region])
        if (rule.server !== undefined) expect([world.seed, choice.server]).toEqual([world.seed, rule.server])
      }
    }
  })

  it('place the same tenant on the same server, in whatever order the servers are listed', () => {
    for (const world of worlds) {
      const again = place({ ...world, servers: world.servers.toReversed() })
      expect([world.seed, again.choice]).toEqual([world.seed, place(world).choice])
    }
  })

  it('refuse with a reason for every server, or with the contradiction', () => {
    for (const world of worlds) {
      const { refusal } = place(world)
      if (refusal === undefined) continue
      expect([world.seed, refusal.code]).toEqual([world.seed, 'ERR_PLACEMENT_IMPOSSIBLE'])
      if (refusal.servers.length > 0) {
        expect(refusal.servers.length).toBe(world.servers.length)
        expect(refusal.servers.every(({ reasons }) => reasons.length > 0)).toBe(true)
      }
    }
  })
})
