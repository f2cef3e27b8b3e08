import { PlacementError } from 'rowhouse'
import type { CompiledRule, CompiledRules } from './compile-rules.ts'
import type { PlacementRequest, TenantToPlace } from './placement-request.ts'
import { MODELS, type Model, type PlacementTarget, type ServerKind } from './placement-rules.ts'

/** What became of a rule: `passed over` matched and was not used. */
export interface RuleVerdict {
  readonly rule: string
  readonly when: string
  readonly outcome: 'chosen' | 'passed over' | 'binding' | 'not matched' | 'failed'
  readonly why: string
}

/** Where the tenant has to go: what is undefined is open. */
export interface DecidedTarget {
  readonly model: Model
  readonly region: string | undefined
  readonly server: string | undefined
  readonly kind: ServerKind | undefined
  readonly standby: boolean
  /** Name of the rule, `default`, or `operator` when the operator named the place or model. */
  readonly rule: string
  readonly why: string
}

export interface TargetDecision {
  readonly verdicts: readonly RuleVerdict[]
  readonly target: DecidedTarget
}

/** What the binding rules that match ask for together, each with the rule that asks first or most. */
interface Demands {
  readonly model?: Demand<Model>
  readonly region?: Demand<string>
  readonly server?: Demand<string>
  readonly kind?: Demand<ServerKind>
}

interface Demand<T> {
  readonly wanted: T
  readonly rule: string
}

/**
 * Applies the rules to a tenant. Every rule is asked, because one that binds does so also behind the first match.
 *
 * @throws {PlacementError} `ERR_PLACEMENT_RULE_FAILED` when a rule has no answer; `ERR_PLACEMENT_IMPOSSIBLE` when rules
 *   that bind, the tenant's region and the operator's wish contradict each other
 */
export function decideTarget(rules: CompiledRules, request: PlacementRequest): TargetDecision {
  const { tenant } = request
  requireVocabularyOf(rules, tenant)
  const matched = new Set(rules.rules.filter((rule) => rule.matches(tenant)))
  const demands = mergeDemands(
    [...matched].filter((rule) => rule.require === true),
    tenant,
  )
  const chosen = [...matched].find((rule) => findShortfall(rule, demands) === undefined)
  if (chosen === undefined) requireEnough(rules.default, demands, tenant)
  const base = chosen ?? { ...rules.default, name: 'default' }
  const verdicts = rules.rules.map((rule) => judge(rule, matched.has(rule), chosen, demands))
  return { verdicts, target: resolveTarget(base, demands, request) }
}

/**
 * Tells in which way a place is less than what the rules that bind demand of it; undefined when it is enough. Rules that
 * do not bind are not asked.
 *
 * @throws {PlacementError} `ERR_PLACEMENT_RULE_FAILED`, `ERR_PLACEMENT_IMPOSSIBLE` when they contradict each other
 */
export function findBreach(
  rules: CompiledRules,
  tenant: TenantToPlace,
  place: Required<Pick<PlacementTarget, 'model' | 'region' | 'server' | 'kind'>>,
): string | undefined {
  const binding = rules.rules.filter((rule) => rule.require === true && rule.matches(tenant))
  return findShortfall(place, mergeDemands(binding, tenant))
}

function resolveTarget(
  base: PlacementTarget & { readonly name: string },
  demands: Demands,
  { tenant, operator = {} }: PlacementRequest,
): DecidedTarget {
  requireAllowed(operator, demands, tenant)
  const byName = operator.server !== undefined || operator.region !== undefined
  // An operator who names a place leaves the place of the rule: its server need not be in the region asked for.
  const place = byName ? operator : base
  const region = place.region ?? demands.region?.wanted ?? (tenant.region || undefined)
  if (tenant.region !== '' && region !== tenant.region) {
    const asks = operator.region !== undefined ? 'the operator asks' : `rule "${base.name}" asks`
    throw impossible(tenant, `${asks} for region "${region}", and its data may not leave region "${tenant.region}"`)
  }
  const overridden = byName || operator.model !== undefined
  return {
    model: operator.model ?? base.model,
    region,
    server: place.server ?? demands.server?.wanted,
    kind: (byName ? undefined : base.kind) ?? demands.kind?.wanted,
    standby: base.standby ?? false,
    rule: overridden ? 'operator' : base.name,
    why: overridden ? 'the operator named it' : whyChosen(base.name, demands),
  }
}

function whyChosen(name: string, demands: Demands): string {
  const first = name === 'default' ? 'no rule matched' : `rule "${name}" matched`
  const others = [...new Set(Object.values(demands).map(({ rule }: Demand<unknown>) => rule))]
    .filter((rule) => rule !== name)
    .map((rule) => `rule "${rule}" binds too`)
  return [first, ...others].join(', ')
}

function mergeDemands(binding: readonly CompiledRule[], tenant: TenantToPlace): Demands {
  let demands: Demands = {}
  for (const rule of binding) {
    const model = demands.model
    if (model === undefined || rankOf(rule.model) > rankOf(model.wanted))
      demands = { ...demands, model: { wanted: rule.model, rule: rule.name } }
    for (const field of ['region', 'server', 'kind'] as const) {
      const wanted = rule[field]
      const before = demands[field]
      if (wanted === undefined) continue
      if (before !== undefined && before.wanted !== wanted)
        throw impossible(
          tenant,
          `rule "${before.rule}" requires ${field} "${before.wanted}" and rule "${rule.name}" requires "${wanted}"; let one of them not match`,
        )
      demands = { ...demands, [field]: { wanted, rule: rule.name } }
    }
  }
  return demands
}

/** Tells in which way a target is less than what is demanded; undefined when it is enough. */
function findShortfall(target: Partial<PlacementTarget>, demands: Demands): string | undefined {
  const { model } = demands
  if (model !== undefined && target.model !== undefined && rankOf(target.model) < rankOf(model.wanted))
    return `model "${target.model}" is weaker than "${model.wanted}", which rule "${model.rule}" requires`
  for (const field of ['region', 'server', 'kind'] as const) {
    const demand = demands[field]
    if (demand !== undefined && target[field] !== undefined && target[field] !== demand.wanted)
      return `${field} "${target[field]}" is not "${demand.wanted}", which rule "${demand.rule}" requires`
  }
  return undefined
}

function requireEnough(target: PlacementTarget, demands: Demands, tenant: TenantToPlace): void {
  const shortfall = findShortfall(target, demands)
  if (shortfall !== undefined) throw impossible(tenant, `no rule and not the default is enough: ${shortfall}`)
}

function requireAllowed(operator: Partial<PlacementTarget>, demands: Demands, tenant: TenantToPlace): void {
  const shortfall = findShortfall(operator, demands)
  if (shortfall !== undefined)
    throw impossible(tenant, `${shortfall}; ask for what the rule allows, or change the rule`)
}

function requireVocabularyOf({ vocabulary }: CompiledRules, tenant: TenantToPlace): void {
  const { plans, compliance } = vocabulary
  if (plans !== undefined && !plans.includes(tenant.plan))
    throw impossible(tenant, `plan "${tenant.plan}" is unknown to the rules; the vocabulary has ${plans.join(', ')}`)
  const unknown = compliance && tenant.compliance.find((profile) => !compliance.includes(profile))
  if (unknown !== undefined)
    throw impossible(
      tenant,
      `profile "${unknown}" is unknown to the rules; the vocabulary has ${compliance?.join(', ')}`,
    )
}

function judge(rule: CompiledRule, matched: boolean, chosen: CompiledRule | undefined, demands: Demands): RuleVerdict {
  const verdict = (outcome: RuleVerdict['outcome'], why: string) => ({ rule: rule.name, when: rule.when, outcome, why })
  if (!matched) return verdict('not matched', 'the expression is false')
  if (rule === chosen) return verdict('chosen', 'first rule that matches and is enough')
  if (rule.require === true) return verdict('binding', 'matches, and what it requires holds for the rule chosen')
  return verdict('passed over', findShortfall(rule, demands) ?? `rule "${chosen?.name}" comes first`)
}

function rankOf(model: Model): number {
  return MODELS.indexOf(model)
}

function impossible(tenant: TenantToPlace, fault: string): PlacementError {
  return new PlacementError('ERR_PLACEMENT_IMPOSSIBLE', `Cannot place tenant "${tenant.slug}": ${fault}`)
}
