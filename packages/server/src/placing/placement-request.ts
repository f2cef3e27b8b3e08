import { MODELS, type Model, type ServerKind } from './placement-rules.ts'

/** What rules may ask about a tenant that is to be placed: the variable `tenant` of their expressions. */
export interface TenantToPlace {
  readonly slug: string
  readonly plan: string
  /** Region the tenant's data may not leave; empty where any will do. */
  readonly region: string
  /** Profiles the tenant is under, e.g. `['gdpr', 'hipaa']`. */
  readonly compliance: readonly string[]
  readonly expectedRows: number
  readonly labels: Readonly<Record<string, string>>
}

/** What an operator asked for by name: goes before the rules, not before residency, requirements and capacity. */
export interface OperatorWish {
  readonly model?: Model
  readonly region?: string
  readonly server?: string
}

export interface PlacementRequest {
  readonly tenant: TenantToPlace
  readonly operator?: OperatorWish
}

/** A server as it is now. Count and choose in one transaction, or two sign-ups take the last place. */
export interface ServerNow {
  readonly name: string
  readonly region: string
  readonly kind: ServerKind
  /** Only `active` takes tenants. */
  readonly state: 'active' | 'draining' | 'down'
  /** How many tenants it may hold; null for as many as come. */
  readonly capacity: number | null
  readonly tenants: number
  /** Databases on it, where known: decides between servers of equal load for a tenant with a database of its own. */
  readonly databases?: number
}

/** Bounds what an expression has to walk through, since labels may come from a sign-up form. */
const MAX_ENTRIES = 100
const MAX_TEXT = 1_000

/**
 * Returns `request` when every fact has its type; a rule that compares a wrong type would be false, not wrong.
 *
 * @throws {TypeError} with the field, its value and what is wanted
 */
export function requireRequest(request: PlacementRequest): PlacementRequest {
  requireTenant(request.tenant)
  for (const [field, value] of Object.entries(request.operator ?? {})) {
    const known = field === 'model' ? MODELS.includes(value as Model) : isText(value) && value !== ''
    if (!known) throw wrong(`operator.${field}`, value, field === 'model' ? MODELS.join(', ') : 'a name')
  }
  return request
}

function requireTenant(tenant: TenantToPlace): void {
  for (const field of ['slug', 'plan', 'region'] as const)
    if (!isText(tenant[field])) throw wrong(`tenant.${field}`, tenant[field], `text of at most ${MAX_TEXT} characters`)
  const { compliance, expectedRows, labels } = tenant
  if (!Array.isArray(compliance) || compliance.length > MAX_ENTRIES || !compliance.every(isText))
    throw wrong('tenant.compliance', compliance, `a list of at most ${MAX_ENTRIES} names`)
  if (!Number.isSafeInteger(expectedRows) || expectedRows < 0)
    throw wrong('tenant.expectedRows', expectedRows, 'a whole number from 0 on')
  const isMap = typeof labels === 'object' && labels !== null && !Array.isArray(labels)
  if (!isMap || Object.keys(labels).length > MAX_ENTRIES || !Object.values(labels).every(isText))
    throw wrong('tenant.labels', labels, `a map of at most ${MAX_ENTRIES} names to text`)
}

/** Returns `servers` when their figures can be compared; NaN would make a full server look empty. */
export function requireServersNow(servers: readonly ServerNow[]): readonly ServerNow[] {
  const names = new Set<string>()
  for (const { name, capacity, tenants } of servers) {
    if (names.has(name)) throw new RangeError(`Cannot choose among servers: "${name}" is listed twice`)
    names.add(name)
    for (const [field, value] of Object.entries({ capacity: capacity ?? 0, tenants }))
      if (!Number.isSafeInteger(value) || value < 0)
        throw new RangeError(`Cannot choose server "${name}": ${field} is ${value}; wanted a whole number from 0 on`)
  }
  return servers
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT
}

function wrong(field: string, value: unknown, wanted: string): TypeError {
  const given = (JSON.stringify(value) ?? String(value)).slice(0, 80)
  return new TypeError(`Cannot place a tenant: "${field}" is ${given}; wanted ${wanted}`)
}
