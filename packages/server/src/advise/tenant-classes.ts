import type { Model, PlacementRule } from '../placing/placement-rules.ts'
import type { Capacity } from './capacity.ts'
import { COMPLIANCE, type Facts, LARGE_ROWS } from './facts.ts'

/** A fact that led to a recommendation, and what follows from it. */
export interface Reason {
  /** Field of `Facts`, or `measured`. */
  readonly fact: string
  readonly value: string
  readonly says: string
}

/** Tenants with the same needs, and where they are best placed. */
export interface ClassAdvice {
  readonly name: 'regulated-database' | 'regulated-schema' | 'large' | 'own-restore' | 'own-tables' | 'standard'
  readonly tenants: number
  readonly model: Model
  /** Servers of the size described that this class alone needs. */
  readonly servers: number
  readonly because: readonly Reason[]
  /** Undefined for those whom the default places. */
  readonly rule: PlacementRule | undefined
}

/** More servers than this for a convenience is a platform run for the convenience. Compliance has no such limit. */
const COMFORT_SERVERS = 5

/** Splits the tenants into classes by what they need, each with a model and the facts that led to it. */
export function classify(facts: Facts, capacity: Capacity): ClassAdvice[] {
  const special = [
    ...regulated(facts, capacity),
    ...large(facts, capacity),
    ...ownRestore(facts, capacity),
    ...ownTables(facts, capacity),
  ]
  return [...special, ...standard(facts, capacity, special)]
}

function regulated(facts: Facts, capacity: Capacity): ClassAdvice[] {
  return (['database', 'schema'] as const).flatMap((atLeast) => {
    const under = facts.compliance.filter(({ profile }) => COMPLIANCE[profile].atLeast === atLeast)
    if (under.length === 0) return []
    const tenants = Math.min(facts.tenants, sum(under.map((each) => each.tenants)))
    const reasons = under.map(({ profile, tenants }) =>
      reason('compliance', `${profile}: ${tenants}`, COMPLIANCE[profile].why),
    )
    const { model, servers, because } =
      atLeast === 'database' ? inDatabases(tenants, capacity) : fewestServers(tenants, capacity, 'schema')
    const when = `tenant.compliance.exists(c, c in [${under.map(({ profile }) => `"${profile}"`).join(', ')}])`
    const name = `regulated-${atLeast}` as const
    // It binds: an operator may go further for such a tenant, and never less far.
    const rule = { name, when, model, require: true }
    return [{ name, tenants, model, servers, because: [...reasons, ...because], rule }]
  })
}

function large(facts: Facts, capacity: Capacity): ClassAdvice[] {
  const { largeTenants, rowsPerTenant } = facts
  if (largeTenants === 0) return []
  const share = `largest ${rowsPerTenant.largest}, median ${rowsPerTenant.median}`
  const because = [
    reason(
      'largeTenants',
      String(largeTenants),
      `have ${LARGE_ROWS} rows or more: in shared tables the others wait for their vacuum and index builds`,
    ),
    reason('rowsPerTenant', share, 'a database can be moved to a server of its own, and scaled alone'),
  ]
  const { servers } = inDatabases(largeTenants, capacity)
  const rule = { name: 'large', when: `tenant.expectedRows >= ${LARGE_ROWS}`, model: 'database' as const }
  return [{ name: 'large', tenants: largeTenants, model: 'database', servers, because, rule }]
}

function ownRestore(facts: Facts, capacity: Capacity): ClassAdvice[] {
  const { restore, restoreTenants } = facts
  if (restoreTenants === 0) return []
  const needs = reason(
    'restore',
    `${restore}, ${restoreTenants} tenants`,
    'one tenant is put back without touching the others: a dump of its own, taken as often',
  )
  const choice = fewestServers(restoreTenants, capacity, 'database')
  const rule = labelRule('own-restore', 'restore')
  if (choice.servers <= COMFORT_SERVERS)
    return [
      {
        name: 'own-restore',
        tenants: restoreTenants,
        ...choice,
        because: [needs, ...choice.because],
        rule: { ...rule, model: choice.model },
      },
    ]
  const because = [
    needs,
    ...choice.because,
    reason(
      'restoreTenants',
      String(restoreTenants),
      `that is ${choice.servers} servers for restoring alone; pooled, with rows copied out of a restored backup, costs one`,
    ),
  ]
  return [
    {
      name: 'own-restore',
      tenants: restoreTenants,
      model: 'pooled',
      servers: 1,
      because,
      rule: undefined,
    },
  ]
}

function ownTables(facts: Facts, capacity: Capacity): ClassAdvice[] {
  const { customisedTenants } = facts
  if (customisedTenants === 0) return []
  const needs = reason(
    'customisation',
    `tables, ${customisedTenants} tenants`,
    'tables of one tenant have no place among tables all share',
  )
  const choice = fewestServers(customisedTenants, capacity, 'schema')
  const rule = labelRule('own-tables', 'tables')
  if (choice.servers <= COMFORT_SERVERS)
    return [
      {
        name: 'own-tables',
        tenants: customisedTenants,
        ...choice,
        because: [needs, ...choice.because],
        rule: { ...rule, model: choice.model },
      },
    ]
  const because = [
    needs,
    ...choice.because,
    reason(
      'customisedTenants',
      String(customisedTenants),
      `that is ${choice.servers} servers for own tables; pooled, with custom fields in a jsonb column, costs one`,
    ),
  ]
  return [
    {
      name: 'own-tables',
      tenants: customisedTenants,
      model: 'pooled',
      servers: 1,
      because,
      rule: undefined,
    },
  ]
}

function standard(facts: Facts, capacity: Capacity, special: readonly ClassAdvice[]): ClassAdvice[] {
  const { tenants, bytesPerTenant, compliance } = facts
  const left = Math.max(0, tenants - sum(special.map((each) => each.tenants)))
  if (left === 0) return []
  // The median for most and the 99th percentile for the rest: the largest have a class of their own.
  const bytes = left * (0.99 * bytesPerTenant.median + 0.01 * bytesPerTenant.p99)
  const because = [
    reason(
      'tenants',
      String(left),
      'have no need of their own: shared tables behind the wall cost nothing per tenant but its rows',
    ),
    ...compliance
      .filter(({ profile }) => COMPLIANCE[profile].atLeast === 'pooled')
      .map(({ profile, tenants }) => reason('compliance', `${profile}: ${tenants}`, COMPLIANCE[profile].why)),
  ]
  if (left > capacity.schemas)
    because.push(
      reason(
        'measured',
        `${capacity.relations} tables and indexes`,
        `a schema each is discouraged beyond ${capacity.schemas} tenants on one server: ${capacity.relationsWhy}`,
      ),
    )
  if (facts.restore === 'rarely')
    because.push(reason('restore', 'rarely', 'rows of one tenant are copied out of a restored backup'))
  if (facts.customisation === 'settings')
    because.push(
      reason('customisation', 'settings', 'settings and custom fields are rows, which need no table of their own'),
    )
  const servers = Math.max(1, Math.ceil(bytes / capacity.poolBytes))
  return [{ name: 'standard', tenants: left, model: 'pooled', servers, because, rule: undefined }]
}

interface Choice {
  readonly model: Model
  readonly servers: number
  readonly because: readonly Reason[]
}

function inDatabases(tenants: number, { databases, databasesWhy }: Capacity): Choice {
  const servers = Math.ceil(tenants / databases)
  const says = `${databases} databases fit on one server: ${databasesWhy}`
  return { model: 'database', servers, because: servers > 1 ? [reason('measured', `${servers} servers`, says)] : [] }
}

/** Schemas or databases, whichever needs fewer servers. */
function fewestServers(tenants: number, capacity: Capacity, onTie: 'schema' | 'database'): Choice {
  const database = inDatabases(tenants, capacity)
  const schemaServers = Math.ceil(tenants / capacity.schemas)
  const schemas = `${capacity.schemas} schemas fit on one server: ${capacity.relationsWhy}`
  const preferSchema = schemaServers < database.servers || (schemaServers === database.servers && onTie === 'schema')
  if (!preferSchema) {
    const because =
      schemaServers > database.servers ? [reason('measured', `${capacity.relations} tables and indexes`, schemas)] : []
    return { ...database, because: [...because, ...database.because] }
  }
  const because = schemaServers > 1 ? [reason('measured', `${schemaServers} servers`, schemas)] : []
  return { model: 'schema', servers: schemaServers, because }
}

function labelRule(name: string, label: string) {
  return { name, when: `has(tenant.labels.${label}) && tenant.labels.${label} == "own"` }
}

function reason(fact: string, value: string, says: string): Reason {
  return { fact, value, says }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0)
}
