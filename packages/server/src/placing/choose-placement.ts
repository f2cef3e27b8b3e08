import { PlacementError } from 'rowhouse'
import { chooseServer, findMisfits } from './choose-server.ts'
import type { CompiledRules } from './compile-rules.ts'
import { type DecidedTarget, decideTarget, type RuleVerdict } from './decide-target.ts'
import { type PlacementRequest, requireRequest, requireServersNow, type ServerNow } from './placement-request.ts'
import type { Model, ServerKind } from './placement-rules.ts'

/** Where a tenant goes, and why. */
export interface PlacementChoice {
  readonly model: Model
  readonly server: string
  readonly region: string
  readonly kind: ServerKind
  readonly standby: boolean
  /** Name of the rule, `default`, or `operator`. */
  readonly rule: string
  readonly why: string
}

/** How a placement came about, or why there is none. */
export interface PlacementExplanation {
  /** In the order of the rules. */
  readonly rules: readonly RuleVerdict[]
  /** In the order given; empty while the rules do not say where to go. */
  readonly servers: readonly { readonly server: string; readonly fits: boolean; readonly why: string }[]
  readonly choice: PlacementChoice | undefined
  readonly refusal: PlacementError | undefined
}

/**
 * Chooses model and server of a tenant: rules, residency, then capacity.
 *
 * Reads nothing and changes nothing; the snapshot is the caller's, who counts and inserts in one transaction. The
 * tenant's region, the state and capacity of servers and rules that bind hold against everybody, the operator included.
 * What does not fit is refused, never placed by a weaker rule.
 *
 * @throws {PlacementError} `ERR_PLACEMENT_IMPOSSIBLE` with the reasons per server, `ERR_PLACEMENT_RULE_FAILED`
 * @throws {TypeError} when a fact about the tenant has another type
 * @throws {RangeError} when a server has no countable figures, or is listed twice
 * @example
 * ```ts
 * import { choosePlacement, compilePlacementRules } from 'rowhouse-server'
 * const rules = compilePlacementRules({ rules: [], default: { model: 'pooled' } })
 * const tenant = { slug: 'acme', plan: 'pro', region: 'eu', compliance: [], expectedRows: 1000, labels: {} }
 * const server = { name: 'eu-1', region: 'eu', kind: 'postgres', state: 'active', capacity: 500, tenants: 12 } as const
 * console.assert(choosePlacement(rules, { tenant }, [server]).server === 'eu-1')
 * ```
 */
export function choosePlacement(
  rules: CompiledRules,
  request: PlacementRequest,
  servers: readonly ServerNow[],
): PlacementChoice {
  requireRequest(request)
  requireServersNow(servers)
  const { target } = decideTarget(rules, request)
  return toChoice(target, chooseServer(target, servers, request.tenant.slug), servers)
}

/**
 * Explains a placement rule by rule and server by server. Never throws for a tenant that cannot be placed: the refusal
 * is part of the explanation.
 */
export function explainPlacement(
  rules: CompiledRules,
  request: PlacementRequest,
  servers: readonly ServerNow[],
): PlacementExplanation {
  requireRequest(request)
  requireServersNow(servers)
  const none = { servers: [], choice: undefined }
  let decision: ReturnType<typeof decideTarget>
  try {
    decision = decideTarget(rules, request)
  } catch (error) {
    if (!(error instanceof PlacementError)) throw error
    return { ...none, rules: rules.rules.map((rule) => judgeAlone(rule, request)), refusal: error }
  }
  const { target, verdicts } = decision
  const found = servers.map((server) => {
    const misfits = findMisfits(target, server)
    return { server: server.name, fits: misfits.length === 0, why: misfits.join(' and ') || describeLoad(server) }
  })
  try {
    const choice = toChoice(target, chooseServer(target, servers, request.tenant.slug), servers)
    return { rules: verdicts, servers: found, choice, refusal: undefined }
  } catch (error) {
    if (!(error instanceof PlacementError)) throw error
    return { rules: verdicts, servers: found, choice: undefined, refusal: error }
  }
}

/** What can be said of a rule when the rules together yield nothing. */
function judgeAlone(rule: CompiledRules['rules'][number], { tenant }: PlacementRequest): RuleVerdict {
  const verdict = { rule: rule.name, when: rule.when }
  try {
    if (!rule.matches(tenant)) return { ...verdict, outcome: 'not matched', why: 'the expression is false' }
    if (rule.require) return { ...verdict, outcome: 'binding', why: 'matches, and binds' }
    return { ...verdict, outcome: 'passed over', why: 'matches, and the refusal came first' }
  } catch (error) {
    return { ...verdict, outcome: 'failed', why: (error as Error).message }
  }
}

function toChoice(target: DecidedTarget, server: ServerNow, servers: readonly ServerNow[]): PlacementChoice {
  const fitting = servers.filter((each) => findMisfits(target, each).length === 0).length
  const among = fitting === 1 ? 'is the only one that fits' : `has the least load of ${fitting} that fit`
  return {
    model: target.model,
    server: server.name,
    region: server.region,
    kind: server.kind,
    standby: target.standby,
    rule: target.rule,
    why: `${target.why}; server "${server.name}" ${among} (${describeLoad(server)})`,
  }
}

function describeLoad({ tenants, capacity }: ServerNow): string {
  return capacity === null ? `${tenants} tenants, no limit` : `${tenants} of ${capacity} tenants`
}
