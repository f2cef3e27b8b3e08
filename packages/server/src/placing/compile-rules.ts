import { Environment, type ParseResult } from '@marcbachmann/cel-js'
import { ConfigError, PlacementError } from 'rowhouse'
import { findExpressionFault } from './expression-faults.ts'
import type { ServerNow, TenantToPlace } from './placement-request.ts'
import {
  type PlacementRule,
  type PlacementRules,
  type PlacementTarget,
  requirePlacementRules,
  type Vocabulary,
} from './placement-rules.ts'

/** Rules whose expressions are parsed and checked: what `choosePlacement` takes. */
export interface CompiledRules {
  readonly rules: readonly CompiledRule[]
  readonly default: PlacementTarget
  readonly vocabulary: Vocabulary
}

export interface CompiledRule extends PlacementRule {
  /** @throws {PlacementError} `ERR_PLACEMENT_RULE_FAILED` when the expression has no answer for this tenant */
  matches(tenant: TenantToPlace): boolean
}

export interface CompileOptions {
  /** How the rules are called in messages, e.g. their file name. */
  readonly source?: string
  /** The registered servers: a rule may name no other server, region or kind. Left out, names are not checked. */
  readonly servers?: readonly Pick<ServerNow, 'name' | 'region' | 'kind'>[]
}

/** The variable `tenant` and its types. */
const TENANT_FIELDS: Readonly<Record<keyof TenantToPlace, string>> = {
  slug: 'string',
  plan: 'string',
  region: 'string',
  compliance: 'list<string>',
  expectedRows: 'int',
  labels: 'map<string, string>',
}

/** A rule that needs more should be two rules; the bound keeps every evaluation below a millisecond. */
const LIMITS = { maxAstNodes: 500, maxDepth: 30 }

const environment = new Environment({ limits: LIMITS }).registerVariable({ name: 'tenant', schema: TENANT_FIELDS })

/**
 * Checks placement rules as far as they can be checked without a tenant, and makes them ready for use.
 *
 * What would only show at a sign-up is refused here: misspelt names, also inside of `has()`, types that do not fit,
 * labels read without asking whether there is one, plans and profiles outside of the vocabulary, servers nobody registered.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` with the rule, the character in its expression and what is wrong
 * @example
 * ```ts
 * import { compilePlacementRules } from 'rowhouse-server'
 * const rules = compilePlacementRules({
 *   rules: [{ name: 'health', when: '"hipaa" in tenant.compliance', model: 'database', require: true }],
 *   default: { model: 'pooled' },
 * })
 * console.assert(rules.rules.length === 1)
 * ```
 */
export function compilePlacementRules(value: PlacementRules, options: CompileOptions = {}): CompiledRules {
  const source = options.source ?? 'placement rules'
  const { rules, default: fallback, vocabulary = {} } = requirePlacementRules(value, source)
  if (options.servers !== undefined) {
    for (const rule of rules) requireKnownPlace(rule, `rule "${rule.name}"`, source, options.servers)
    requireKnownPlace(fallback, '"default"', source, options.servers)
  }
  return { rules: rules.map((rule) => compileRule(rule, vocabulary, source)), default: fallback, vocabulary }
}

function compileRule(rule: PlacementRule, vocabulary: Vocabulary, source: string): CompiledRule {
  const refuse = (start: number, fault: string, cause?: unknown) =>
    new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot use placement rules of "${source}": rule "${rule.name}", character ${start} of "when": ${fault}`,
      { cause },
    )
  const expression = parse(rule.when, refuse)
  const fault = findExpressionFault(expression.ast, Object.keys(TENANT_FIELDS), vocabulary)
  if (fault !== undefined) throw refuse(fault.at, fault.message)
  const { valid, type, error } = expression.check()
  if (!valid) throw refuse((error?.range?.start ?? 0) + 1, plain(error), error)
  if (type !== 'bool') throw refuse(1, `the expression yields ${type}; wanted true or false`)
  return { ...rule, matches: (tenant) => evaluate(rule, expression, tenant) }
}

function parse(when: string, refuse: (start: number, fault: string, cause: unknown) => Error): ParseResult {
  try {
    return environment.parse(when)
  } catch (error) {
    throw refuse((rangeOf(error)?.start ?? 0) + 1, plain(error), error)
  }
}

function evaluate(rule: PlacementRule, expression: ParseResult, tenant: TenantToPlace): boolean {
  let answer: unknown
  try {
    answer = expression({ tenant: { ...tenant, expectedRows: BigInt(tenant.expectedRows) } })
  } catch (cause) {
    const at = `character ${(rangeOf(cause)?.start ?? 0) + 1} of "when"`
    throw ruleFailed(rule, tenant, `${plain(cause)}, ${at}`, cause)
  }
  if (typeof answer !== 'boolean') throw ruleFailed(rule, tenant, 'the answer is neither true nor false')
  return answer
}

function ruleFailed(rule: PlacementRule, tenant: TenantToPlace, fault: string, cause?: unknown): PlacementError {
  const message = `Cannot place tenant "${tenant.slug}": rule "${rule.name}" has no answer (${fault}); correct the rule, nothing was placed by the rules after it`
  return new PlacementError('ERR_PLACEMENT_RULE_FAILED', message, { cause })
}

function requireKnownPlace(
  { server, region, kind }: PlacementTarget,
  at: string,
  source: string,
  servers: NonNullable<CompileOptions['servers']>,
): void {
  const refuse = (fault: string) =>
    new ConfigError('ERR_CONFIG_INVALID', `Cannot use placement rules of "${source}": ${at}: ${fault}`)
  const list = (words: readonly string[]) => [...new Set(words)].toSorted().join(', ') || 'none'
  const named = servers.find(({ name }) => name === server)
  if (server !== undefined && named === undefined)
    throw refuse(`unknown server "${server}"; registered are ${list(servers.map(({ name }) => name))}`)
  if (region !== undefined && !servers.some((each) => each.region === region))
    throw refuse(`unknown region "${region}"; servers are in ${list(servers.map((each) => each.region))}`)
  if (kind !== undefined && !servers.some((each) => each.kind === kind))
    throw refuse(`no server is of kind "${kind}"; registered are ${list(servers.map((each) => each.kind))}`)
  if (named !== undefined && region !== undefined && named.region !== region)
    throw refuse(`server "${server}" is in region "${named.region}", not in "${region}"`)
  if (named !== undefined && kind !== undefined && named.kind !== kind)
    throw refuse(`server "${server}" is of kind "${named.kind}", not "${kind}"`)
}

/** Errors of the parser carry a summary without the picture of the source, and name our type with a mark of theirs. */
function plain(error: unknown): string {
  const { summary, message } = error as { summary?: string; message?: string }
  return (summary ?? message ?? String(error)).replaceAll('$tenant', 'tenant').replaceAll('\n', ' ')
}

function rangeOf(error: unknown): { start: number } | undefined {
  return (error as { range?: { start: number } }).range
}
