import { ConfigError } from 'rowhouse'

/** Isolation models, weakest first: a rule that binds asks for its model or a stronger one. */
export const MODELS = ['pooled', 'schema', 'database'] as const
export type Model = (typeof MODELS)[number]

export const SERVER_KINDS = ['postgres', 'citus'] as const
export type ServerKind = (typeof SERVER_KINDS)[number]

/** Where a tenant is to live. What is left out is chosen among the servers that fit. */
export interface PlacementTarget {
  readonly model: Model
  readonly region?: string
  /** Name of a server; leave it out to let load decide. */
  readonly server?: string
  readonly kind?: ServerKind
  /** Takes a tenant that was provisioned ahead, where one is waiting. @defaultValue false */
  readonly standby?: boolean
}

export interface PlacementRule extends PlacementTarget {
  /** Unique; shown wherever a placement is explained. */
  readonly name: string
  /** A CEL expression over `tenant` that is true or false. */
  readonly when: string
  /**
   * Makes the rule bind every tenant it matches, whatever rule comes first and whatever an operator asks for: its model
   * or a stronger one, and its region, server and kind where it names them. @defaultValue false
   */
  readonly require?: boolean
}

/** Words a rule may compare with. A misspelt plan would otherwise match nobody and leave its tenants to the default. */
export interface Vocabulary {
  readonly plans?: readonly string[]
  readonly compliance?: readonly string[]
  readonly labels?: readonly string[]
}

/** Placement rules as data: the first rule that matches places the tenant, `default` whoever is left. */
export interface PlacementRules {
  readonly rules: readonly PlacementRule[]
  readonly default: PlacementTarget
  readonly vocabulary?: Vocabulary
}

/** More rules than this are a table, and belong into labels of the tenants. */
const MAX_RULES = 200

const RULE_FIELDS = ['name', 'when', 'model', 'region', 'server', 'kind', 'standby', 'require']
const TARGET_FIELDS = ['model', 'region', 'server', 'kind', 'standby']

/**
 * Reads placement rules from the text of a JSON file.
 *
 * @param source  how the text is called in messages, e.g. its file name
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the text is no JSON, or no set of placement rules
 * @example
 * ```ts
 * import { parsePlacementRules } from 'rowhouse-server'
 * const rules = parsePlacementRules('{ "rules": [], "default": { "model": "pooled" } }', 'placement.json')
 * console.assert(rules.default.model === 'pooled')
 * ```
 */
export function parsePlacementRules(text: string, source: string): PlacementRules {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const message = `Cannot read placement rules from "${source}": the text is no JSON, ${(cause as Error).message}`
    throw new ConfigError('ERR_CONFIG_INVALID', message, { cause })
  }
  return requirePlacementRules(value, source)
}

/**
 * Returns `value` when it has the shape of placement rules; unknown fields are refused, because a misspelt `require`
 * would be no requirement. The expressions are checked by `compilePlacementRules`.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` with the rule, the field and what is wrong
 */
export function requirePlacementRules(value: unknown, source = 'placement rules'): PlacementRules {
  const rules = requireRecord(value, source, 'the whole')
  refuseUnknownFields(rules, ['rules', 'default', 'vocabulary'], source, 'the whole')
  if (!Array.isArray(rules.rules)) throw refuse(source, 'field "rules" is missing or no list; wanted a list of rules')
  if (rules.rules.length > MAX_RULES)
    throw refuse(source, `there are ${rules.rules.length} rules; wanted at most ${MAX_RULES}`)
  const names = new Set<string>(['default', 'operator'])
  rules.rules.forEach((rule, index) => {
    const name = requireRule(rule, source, index)
    if (names.has(name)) throw refuse(source, `rule ${index + 1}: the name "${name}" is taken; wanted another one`)
    names.add(name)
  })
  if (rules.default === undefined)
    throw refuse(source, 'field "default" is missing; say where tenants go that no rule matches')
  const fallback = requireRecord(rules.default, source, '"default"')
  refuseUnknownFields(fallback, TARGET_FIELDS, source, '"default"')
  requireTarget(fallback, source, '"default"')
  if (rules.vocabulary !== undefined) requireVocabulary(rules.vocabulary, source)
  return value as PlacementRules
}

function requireRule(value: unknown, source: string, index: number): string {
  const rule = requireRecord(value, source, `rule ${index + 1}`)
  const at = typeof rule.name === 'string' ? `rule "${rule.name}"` : `rule ${index + 1}`
  if (!isWord(rule.name))
    throw refuse(source, `rule ${index + 1}: field "name" is missing or no text of 1 to 100 letters`)
  refuseUnknownFields(rule, RULE_FIELDS, source, at)
  if (typeof rule.when !== 'string') throw refuse(source, `${at}: field "when" is missing; wanted a CEL expression`)
  if (rule.require !== undefined && typeof rule.require !== 'boolean')
    throw refuse(source, `${at}: field "require" is ${JSON.stringify(rule.require)}; wanted true or false`)
  requireTarget(rule, source, at)
  return rule.name
}

function requireTarget(target: Record<string, unknown>, source: string, at: string): void {
  const { model, kind, region, server, standby } = target
  if (!MODELS.includes(model as Model))
    throw refuse(source, `${at}: unknown model ${quoted(model)}; wanted ${MODELS.join(', ')}`)
  if (kind !== undefined && !SERVER_KINDS.includes(kind as ServerKind))
    throw refuse(source, `${at}: unknown kind of server ${quoted(kind)}; wanted ${SERVER_KINDS.join(' or ')}`)
  if (kind === 'citus' && model !== 'pooled')
    throw refuse(source, `${at}: a server of kind "citus" takes pooled tenants only, and the model is "${model}"`)
  for (const [field, given] of Object.entries({ region, server }))
    if (given !== undefined && !isWord(given))
      throw refuse(source, `${at}: field "${field}" is ${quoted(given)}; wanted a name, or leave it out`)
  if (standby !== undefined && typeof standby !== 'boolean')
    throw refuse(source, `${at}: field "standby" is ${quoted(standby)}; wanted true or false`)
}

function requireVocabulary(value: unknown, source: string): void {
  const vocabulary = requireRecord(value, source, '"vocabulary"')
  refuseUnknownFields(vocabulary, ['plans', 'compliance', 'labels'], source, '"vocabulary"')
  for (const [field, words] of Object.entries(vocabulary))
    if (!Array.isArray(words) || !words.every(isWord))
      throw refuse(source, `"vocabulary": field "${field}" is ${quoted(words)}; wanted a list of names`)
}

function refuseUnknownFields(value: object, known: readonly string[], source: string, at: string): void {
  for (const field of Object.keys(value))
    if (!known.includes(field)) throw refuse(source, `${at}: unknown field "${field}"; wanted ${known.join(', ')}`)
}

function requireRecord(value: unknown, source: string, at: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw refuse(source, `${at} is ${quoted(value)}; wanted an object`)
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= 100
}

function quoted(value: unknown): string {
  return value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value)).slice(0, 80)
}

function refuse(source: string, fault: string): ConfigError {
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot use placement rules of "${source}": ${fault}`)
}
