import { PlacementError } from 'rowhouse'
import { describe, expect, it } from 'vitest'
import { choosePlacement, explainPlacement } from '../../src/placing/choose-placement.ts'
import { compilePlacementRules } from '../../src/placing/compile-rules.ts'
import type { PlacementRules } from '../../src/placing/placement-rules.ts'
import { request, server } from './facts.ts'

const rules = compilePlacementRules({
  rules: [
    { name: 'trial', when: 'tenant.plan == "trial"', model: 'pooled', standby: true },
    { name: 'health', when: '"hipaa" in tenant.compliance', model: 'database', require: true },
    { name: 'bank', when: '"dora" in tenant.compliance', model: 'schema', region: 'eu', require: true },
    { name: 'large', when: 'tenant.expectedRows > 1000000', model: 'database', server: 'big' },
    { name: 'american', when: 'has(tenant.labels.home) && tenant.labels.home == "us"', model: 'schema', region: 'us' },
  ],
  default: { model: 'pooled' },
} satisfies PlacementRules)

const servers = [
  server('eu-1', { tenants: 50 }),
  server('eu-2', { tenants: 10, capacity: 10 }),
  server('us-1', { region: 'us', tenants: 60 }),
  server('big', { tenants: 90, capacity: 100 }),
  server('old', { state: 'draining' }),
  server('dead', { state: 'down' }),
]

describe('choosePlacement()', () => {
  it.each([
    [
      'nobody special goes to the default, where load is least',
      request(),
      { rule: 'default', model: 'pooled', server: 'eu-1' },
    ],
    ['residency decides the region', request({ region: 'us' }), { rule: 'default', region: 'us', server: 'us-1' }],
    ['the first rule that matches', request({ plan: 'trial' }), { rule: 'trial', model: 'pooled', standby: true }],
    [
      'a rule that binds goes before one that comes first',
      request({ plan: 'trial', compliance: ['hipaa'] }),
      { rule: 'health', model: 'database', standby: false },
    ],
    [
      'two rules that bind hold together',
      request({ compliance: ['hipaa', 'dora'] }),
      { rule: 'health', model: 'database', region: 'eu' },
    ],
    [
      'a rule names its server, whatever its load',
      request({ expectedRows: 2_000_000 }),
      { rule: 'large', server: 'big' },
    ],
    [
      'an operator goes before the rules',
      request({ plan: 'trial' }, { model: 'schema' }),
      { rule: 'operator', model: 'schema', server: 'eu-1' },
    ],
    [
      'an operator who names a region leaves the server of the rule',
      request({ expectedRows: 2_000_000 }, { region: 'us' }),
      { rule: 'operator', model: 'database', server: 'us-1' },
    ],
    [
      'an operator may ask for more than a rule requires',
      request({ compliance: ['dora'] }, { model: 'database' }),
      { rule: 'operator', model: 'database', region: 'eu' },
    ],
  ])('%s', (_, wish, wanted) => {
    expect(choosePlacement(rules, wish, servers)).toMatchObject(wanted)
  })

  it('says why', () => {
    expect(choosePlacement(rules, request({ compliance: ['hipaa', 'dora'] }), servers).why).toBe(
      'rule "health" matched, rule "bank" binds too; server "eu-1" has the least load of 2 that fit (50 of 100 tenants)',
    )
    expect(choosePlacement(rules, request({ region: 'us' }), servers).why).toBe(
      'no rule matched; server "us-1" is the only one that fits (60 of 100 tenants)',
    )
  })

  it.each([
    [
      'a weaker model than a rule requires, asked for by an operator',
      request({ compliance: ['hipaa'] }, { model: 'schema' }),
      'Cannot place tenant "acme": model "schema" is weaker than "database", which rule "health" requires; ask for what the rule allows, or change the rule',
    ],
    [
      'a region a rule forbids, asked for by an operator',
      request({ compliance: ['dora'] }, { region: 'us' }),
      'Cannot place tenant "acme": region "us" is not "eu", which rule "bank" requires',
    ],
    [
      'another region than that of residency, asked for by an operator',
      request({ region: 'eu' }, { region: 'us' }),
      'Cannot place tenant "acme": the operator asks for region "us", and its data may not leave region "eu"',
    ],
    [
      'a server in another region than that of residency',
      request({ region: 'eu' }, { server: 'us-1' }),
      'wanted model "pooled", region "eu", server "us-1" (the operator named it), and no server fits: server "eu-1" is not "us-1"',
    ],
    [
      'a rule against residency',
      request({ region: 'eu', labels: { home: 'us' } }),
      'Cannot place tenant "acme": rule "american" asks for region "us", and its data may not leave region "eu"',
    ],
    [
      'a rule that binds against residency',
      request({ region: 'us', compliance: ['dora'] }),
      'Cannot place tenant "acme": rule "bank" asks for region "eu", and its data may not leave region "us"',
    ],
    ['a server nobody registered', request({}, { server: 'eu-9' }), 'server "big" is not "eu-9"'],
    [
      'a region without a server',
      request({ region: 'ap' }),
      'wanted model "pooled", region "ap" (no rule matched), and no server fits',
    ],
    ['a full server', request({}, { server: 'eu-2' }), 'server "eu-2" is full (10 of 10 tenants)'],
    ['a draining server', request({}, { server: 'old' }), 'server "old" is draining'],
    ['a server that is down', request({}, { server: 'dead' }), 'server "dead" is down'],
  ])('refuses %s', (_, wish, fault) => {
    expect(() => choosePlacement(rules, wish, servers)).toThrow(
      expect.objectContaining({ code: 'ERR_PLACEMENT_IMPOSSIBLE', message: expect.stringContaining(fault) }),
    )
  })

  it('names every server and why it does not fit', () => {
    const full = [server('a', { tenants: 100, region: 'us' }), server('b', { kind: 'citus', state: 'draining' })]
    const refusal = catchRefusal(() => choosePlacement(rules, request({ region: 'eu' }, { model: 'schema' }), full))
    expect(refusal.servers).toEqual([
      { server: 'a', reasons: ['is in region "us"', 'is full (100 of 100 tenants)'] },
      { server: 'b', reasons: ['takes pooled tenants only', 'is draining'] },
    ])
    expect(refusal.message).toBe(
      'Cannot place tenant "acme": wanted model "schema", region "eu" (the operator named it), and no server fits: server "a" is in region "us" and is full (100 of 100 tenants); server "b" takes pooled tenants only and is draining',
    )
    expect(() => choosePlacement(rules, request(), [])).toThrow('and no server fits: no server is registered')
  })

  it('places nobody by a later rule when one has no answer, also when the operator named the place', () => {
    const broken = compilePlacementRules({
      rules: [
        { name: 'first', when: 'tenant.plan == "pro"', model: 'pooled' },
        { name: 'broken', when: '100 / tenant.expectedRows > 1', model: 'database', require: true },
      ],
      default: { model: 'pooled' },
    })
    const refused = {
      code: 'ERR_PLACEMENT_RULE_FAILED',
      message:
        'Cannot place tenant "acme": rule "broken" has no answer (division by zero, character 1 of "when"); correct the rule, nothing was placed by the rules after it',
    }
    const wish = request({ expectedRows: 0 }, { model: 'pooled', server: 'eu-1' })
    expect(() => choosePlacement(broken, wish, servers)).toThrow(expect.objectContaining(refused))
    expect(choosePlacement(broken, request({ expectedRows: 100 }), servers).rule).toBe('first')
  })

  it('refuses rules that bind and contradict each other, and a default that is not enough', () => {
    const both = compilePlacementRules({
      rules: [
        { name: 'a', when: 'true', model: 'pooled', region: 'eu', require: true },
        { name: 'b', when: 'tenant.plan == "pro"', model: 'pooled', region: 'us', require: true },
      ],
      default: { model: 'pooled' },
    })
    expect(() => choosePlacement(both, request(), servers)).toThrow(
      'rule "a" requires region "eu" and rule "b" requires "us"; let one of them not match',
    )
  })

  it('refuses a plan or profile the vocabulary does not have', () => {
    const strict = compilePlacementRules({
      rules: [],
      default: { model: 'pooled' },
      vocabulary: { plans: ['pro'], compliance: ['gdpr'] },
    })
    expect(choosePlacement(strict, request({ compliance: ['gdpr'] }), servers).model).toBe('pooled')
    expect(() => choosePlacement(strict, request({ plan: 'prp' }), servers)).toThrow(
      'plan "prp" is unknown to the rules; the vocabulary has pro',
    )
    expect(() => choosePlacement(strict, request({ compliance: ['gpdr'] }), servers)).toThrow(
      'profile "gpdr" is unknown to the rules; the vocabulary has gdpr',
    )
  })

  it.each([
    [{ plan: undefined }, '"tenant.plan" is undefined; wanted text of at most 1000 characters'],
    [{ compliance: 'hipaa' }, '"tenant.compliance" is "hipaa"; wanted a list of at most 100 names'],
    [{ expectedRows: -1 }, '"tenant.expectedRows" is -1; wanted a whole number from 0 on'],
    [{ expectedRows: 0.5 }, '"tenant.expectedRows" is 0.5'],
    [{ labels: { vip: 1 } }, '"tenant.labels" is {"vip":1}; wanted a map of at most 100 names to text'],
    [{ labels: [] }, '"tenant.labels" is []'],
  ])('refuses the facts %j', (facts, fault) => {
    const place = () => choosePlacement(rules, request(facts as never), servers)
    expect(place).toThrow(TypeError)
    expect(place).toThrow(`Cannot place a tenant: ${fault}`)
  })

  it('refuses an operator with a model nobody has, which would be weaker than any', () => {
    expect(() => choosePlacement(rules, request({}, { model: 'pool' as never }), servers)).toThrow(
      'Cannot place a tenant: "operator.model" is "pool"; wanted pooled, schema, database',
    )
  })

  it.each([
    [[server('a', { capacity: Number.NaN })], 'server "a": capacity is NaN'],
    [[server('a', { tenants: -1 })], 'server "a": tenants is -1'],
    [[server('a'), server('a')], '"a" is listed twice'],
  ])('refuses figures that cannot be compared', (list, fault) => {
    expect(() => choosePlacement(rules, request(), list)).toThrow(RangeError)
    expect(() => choosePlacement(rules, request(), list)).toThrow(fault)
  })

  it('decides between servers of equal load by databases, tenants and name', () => {
    const model = 'database' as const
    const pick = (list: ReturnType<typeof server>[]) => choosePlacement(rules, request({}, { model }), list).server
    expect(pick([server('b'), server('a')])).toBe('a')
    expect(pick([server('b', { databases: 1 }), server('a', { databases: 2 })])).toBe('b')
    expect(pick([server('b', { capacity: null, tenants: 5 }), server('a', { capacity: null, tenants: 6 })])).toBe('b')
    expect(pick([server('a', { tenants: 1, capacity: 2 }), server('b', { tenants: 10, capacity: 100 })])).toBe('b')
  })
})

describe('explainPlacement()', () => {
  it('lists every rule and every server', () => {
    const explained = explainPlacement(rules, request({ plan: 'trial', compliance: ['hipaa', 'dora'] }), servers)
    expect(explained.rules.map(({ rule, outcome, why }) => [rule, outcome, why])).toEqual([
      ['trial', 'passed over', 'model "pooled" is weaker than "database", which rule "health" requires'],
      ['health', 'chosen', 'first rule that matches and is enough'],
      ['bank', 'binding', 'matches, and what it requires holds for the rule chosen'],
      ['large', 'not matched', 'the expression is false'],
      ['american', 'not matched', 'the expression is false'],
    ])
    expect(explained.servers).toContainEqual({ server: 'us-1', fits: false, why: 'is in region "us"' })
    expect(explained.servers).toContainEqual({ server: 'eu-1', fits: true, why: '50 of 100 tenants' })
    expect(explained.choice?.server).toBe('eu-1')
    expect(explained.refusal).toBeUndefined()
  })

  it('explains a refusal instead of throwing it', () => {
    const noServer = explainPlacement(rules, request({ region: 'ap' }), servers)
    expect(noServer.choice).toBeUndefined()
    expect(noServer.refusal?.code).toBe('ERR_PLACEMENT_IMPOSSIBLE')
    expect(noServer.servers.every(({ fits }) => !fits)).toBe(true)
    const contradiction = explainPlacement(rules, request({ compliance: ['hipaa'] }, { model: 'pooled' }), servers)
    expect(contradiction.refusal?.message).toContain('which rule "health" requires')
    expect(contradiction.rules[1]).toMatchObject({ rule: 'health', outcome: 'binding' })
    const broken = compilePlacementRules({
      rules: [{ name: 'broken', when: '1 / tenant.expectedRows > 0', model: 'pooled' }],
      default: { model: 'pooled' },
    })
    expect(explainPlacement(broken, request({ expectedRows: 0 }), servers).rules[0]).toMatchObject({
      outcome: 'failed',
      why: expect.stringContaining('division by zero'),
    })
  })
})

function catchRefusal(fn: () => unknown): PlacementError {
  try {
    fn()
  } catch (error) {
    if (error instanceof PlacementError) return error
    throw error
  }
  throw new Error('Nothing was refused')
}
