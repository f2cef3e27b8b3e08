import { describe, expect, it } from 'vitest'
import { compilePlacementRules } from '../../src/placing/compile-rules.ts'
import { type PlacementRules, parsePlacementRules } from '../../src/placing/placement-rules.ts'
import { server, tenant } from './facts.ts'

const fallback = { model: 'pooled' } as const
const prefix = 'Cannot use placement rules of "placement.json": '

function rulesWhen(when: string, vocabulary?: PlacementRules['vocabulary']): PlacementRules {
  return { rules: [{ name: 'r', when, model: 'schema' }], default: fallback, ...(vocabulary && { vocabulary }) }
}

function compile(rules: unknown, servers?: Parameters<typeof compilePlacementRules>[1]) {
  return compilePlacementRules(rules as PlacementRules, { source: 'placement.json', ...servers })
}

describe('compilePlacementRules()', () => {
  it.each([
    ['tenant.plan == "pro"', true],
    ['tenant.plan in ["free", "trial"]', false],
    ['tenant.region == "" && tenant.expectedRows >= 1000', true],
    ['"hipaa" in tenant.compliance', false],
    ['tenant.compliance.exists(c, c in ["gdpr", "hipaa"])', true],
    ['has(tenant.labels.vip) && tenant.labels.vip == "yes"', true],
    ['"vip" in tenant.labels && tenant.labels["vip"] == "no"', false],
    ['tenant.slug.startsWith("ac") && size(tenant.compliance) == 1', true],
  ])('answers %s with %s', (when, wanted) => {
    const facts = tenant({ compliance: ['gdpr'], labels: { vip: 'yes' } })
    expect(compile(rulesWhen(when)).rules[0]?.matches(facts)).toBe(wanted)
  })

  it.each([
    [
      'tenant.plna == "pro"',
      'character 1 of "when": unknown name "tenant.plna"; wanted one of tenant.slug, tenant.plan',
    ],
    ['has(tenant.plna)', 'character 5 of "when": unknown name "tenant.plna"'],
    ['true || has(tenant.plna)', 'character 13 of "when": unknown name "tenant.plna"'],
    ['tenat.plan == "pro"', 'character 1 of "when": Unknown variable: tenat'],
    ['tenant.plan == ', 'character 16 of "when": Unexpected token: EOF'],
    ['', 'character 1 of "when": Unexpected token: EOF'],
    ['tenant.plan == 1', 'character 1 of "when": no such overload: string == int'],
    ['tenant.compliance == "gdpr"', 'character 1 of "when": no such overload: list<string> == string'],
    ['tenant.plan', 'character 1 of "when": the expression yields string; wanted true or false'],
    ['dyn(true)', 'character 1 of "when": "dyn" may not be called in a rule'],
    ['tenant.slug.matches("(a+)+$")', 'character 1 of "when": "matches" may not be called in a rule'],
    ['tenant["plan"] == "pro"', '"tenant" is no value of its own; wanted one of tenant.slug'],
    ['tenant', '"tenant" is no value of its own'],
    ['has(tenant.labels) && size([tenant]) == 1', '"tenant" is no value of its own'],
    ['cel.bind(t, tenant, has(t.plna))', '"bind" may not be called in a rule'],
    ['tenant.compliance.exists(tenant, tenant == "x")', 'a loop may not call its variable "tenant"'],
    [
      'tenant.compliance.all(a, tenant.compliance.all(b, tenant.compliance.all(c, true)))',
      'loops are 3 deep; wanted at most 2',
    ],
    [
      'tenant.labels.vip == "yes"',
      'label "vip" is read without asking whether there is one, so a tenant without it could not be placed; write has(tenant.labels.vip) && … in front',
    ],
    ['tenant.labels[tenant.plan] == "yes"', 'a label is read by a name that is computed; wanted a name in quotes'],
    [`${'('.repeat(40)}true${')'.repeat(40)}`, 'character'],
  ])('refuses %s when the rules are loaded', (when, fault) => {
    expect(() => compile(rulesWhen(when))).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_INVALID',
        message: expect.stringContaining(fault),
      }),
    )
    expect(() => compile(rulesWhen(when))).toThrow(`${prefix}rule "r", character `)
  })

  it.each([
    ['tenant.plan == "enterprize"', 'unknown plan "enterprize"; the vocabulary has free, enterprise'],
    ['"enterprize" != tenant.plan', 'unknown plan "enterprize"'],
    ['tenant.plan in ["free", "enterprize"]', 'unknown plan "enterprize"'],
    ['"hippa" in tenant.compliance', 'unknown compliance "hippa"; the vocabulary has hipaa'],
    ['tenant.compliance.exists(c, c == "hippa")', 'unknown compliance "hippa"'],
    ['tenant.compliance.exists(c, c in ["hipaa", "hippa"])', 'unknown compliance "hippa"'],
    ['has(tenant.labels.vipp)', 'unknown label "vipp"; the vocabulary has vip'],
    ['"vipp" in tenant.labels && tenant.labels.vipp == "x"', 'unknown label "vipp"'],
  ])('refuses %s, whose word is not in the vocabulary', (when, fault) => {
    const vocabulary = { plans: ['free', 'enterprise'], compliance: ['hipaa'], labels: ['vip'] }
    expect(() => compile(rulesWhen(when, vocabulary))).toThrow(fault)
  })

  const rule = { name: 'r', when: 'true', model: 'pooled' }
  it.each([
    [[], 'the whole is []; wanted an object'],
    [{ default: fallback }, 'field "rules" is missing or no list; wanted a list of rules'],
    [{ rules: [] }, 'field "default" is missing; say where tenants go that no rule matches'],
    [
      { rules: [], default: fallback, defualt: 1 },
      'the whole: unknown field "defualt"; wanted rules, default, vocabulary',
    ],
    [{ rules: [{ ...rule, requires: true }], default: fallback }, 'rule "r": unknown field "requires"'],
    [
      { rules: [{ ...rule, require: 'yes' }], default: fallback },
      'rule "r": field "require" is "yes"; wanted true or false',
    ],
    [
      { rules: [{ ...rule, model: 'shared' }], default: fallback },
      'rule "r": unknown model "shared"; wanted pooled, schema, database',
    ],
    [
      { rules: [{ ...rule, kind: 'mysql' }], default: fallback },
      'rule "r": unknown kind of server "mysql"; wanted postgres or citus',
    ],
    [{ rules: [{ ...rule, model: 'schema', kind: 'citus' }], default: fallback }, 'takes pooled tenants only'],
    [{ rules: [{ ...rule, standby: 1 }], default: fallback }, 'rule "r": field "standby" is 1; wanted true or false'],
    [
      { rules: [{ ...rule, region: '' }], default: fallback },
      'rule "r": field "region" is ""; wanted a name, or leave it out',
    ],
    [{ rules: [rule, rule], default: fallback }, 'rule 2: the name "r" is taken; wanted another one'],
    [{ rules: [{ ...rule, name: 'default' }], default: fallback }, 'rule 1: the name "default" is taken'],
    [{ rules: [{ when: 'true', model: 'pooled' }], default: fallback }, 'rule 1: field "name" is missing'],
    [
      { rules: [{ name: 'r', model: 'pooled' }], default: fallback },
      'rule "r": field "when" is missing; wanted a CEL expression',
    ],
    [{ rules: [7], default: fallback }, 'rule 1 is 7; wanted an object'],
    [{ rules: [], default: { model: 'pool' } }, '"default": unknown model "pool"'],
    [
      { rules: [], default: fallback, vocabulary: { plans: 'free' } },
      'field "plans" is "free"; wanted a list of names',
    ],
    [{ rules: Array(201).fill(rule), default: fallback }, 'there are 201 rules; wanted at most 200'],
  ])('refuses rules of another shape: %#', (rules, fault) => {
    expect(() => compile(rules)).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_INVALID',
        message: expect.stringContaining(prefix),
      }),
    )
    expect(() => compile(rules)).toThrow(fault)
  })

  const servers = [server('eu-1'), server('us-1', { region: 'us' })]
  it.each([
    [{ server: 'eu-9' }, 'rule "r": unknown server "eu-9"; registered are eu-1, us-1'],
    [{ region: 'ap' }, 'rule "r": unknown region "ap"; servers are in eu, us'],
    [{ kind: 'citus' }, 'rule "r": no server is of kind "citus"; registered are postgres'],
    [{ server: 'eu-1', region: 'us' }, 'rule "r": server "eu-1" is in region "eu", not in "us"'],
  ])('refuses %j when the servers are known', (target, fault) => {
    expect(() => compile({ rules: [{ ...rule, ...target }], default: fallback }, { servers })).toThrow(fault)
    expect(() => compile({ rules: [], default: { ...fallback, ...target } }, { servers })).toThrow(
      fault.replace('rule "r"', '"default"'),
    )
  })
})

describe('parsePlacementRules()', () => {
  it('names the file and the place where the text is no JSON', () => {
    expect(() => parsePlacementRules('{ "rules": [,] }', 'placement.json')).toThrow(
      /^Cannot read placement rules from "placement\.json": the text is no JSON, .*(position 12|,)/,
    )
  })

  it('returns the rules of a file', () => {
    expect(parsePlacementRules('{ "rules": [], "default": { "model": "schema" } }', 'p.json').default.model).toBe(
      'schema',
    )
  })
})
