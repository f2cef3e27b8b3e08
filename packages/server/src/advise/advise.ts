import { MODELS, type Model, type PlacementRules } from '../placing/placement-rules.ts'
import { type Capacity, capacityOf, costsFor, gigabytes } from './capacity.ts'
import { COMPLIANCE, type ComplianceProfile, type Facts, LARGE_ROWS, requireFacts } from './facts.ts'
import { MEASURED_COSTS, type MeasuredCosts, type ModelCosts, memoryPerRelation } from './measured-costs.ts'
import { type ClassAdvice, classify } from './tenant-classes.ts'

/** What all tenants would cost in one model, without a row. */
export interface TradeOff {
  readonly model: Model
  readonly perTenant: ModelCosts
  readonly diskBytes: number
  readonly files: number
  /** Memory of one connection that met every tenant. */
  readonly memoryBytesPerConnection: number
  /** Adding one column everywhere, one tenant after the other. */
  readonly migrateMs: number
  readonly connections: string
  readonly gives: string
  readonly costs: string
}

/** Servers of the size described, at least. */
export interface ServersNeeded {
  /** Empty where residency does not matter. */
  readonly region: string
  readonly servers: number
  readonly why: string
}

/** A recommendation with all that led to it. */
export interface Advice {
  readonly facts: Facts
  readonly classes: readonly ClassAdvice[]
  readonly capacity: Capacity
  readonly tradeOffs: readonly TradeOff[]
  readonly servers: readonly ServersNeeded[]
  /** Ready for `compilePlacementRules`. */
  readonly rules: PlacementRules
  readonly risks: readonly string[]
  readonly wouldChange: readonly string[]
  readonly costs: MeasuredCosts
}

const GIVES: Readonly<Record<Model, Pick<TradeOff, 'gives' | 'costs' | 'connections'>>> = {
  pooled: {
    gives: 'one migration for all, any number of tenants, no cost per tenant but its rows',
    costs: 'large neighbours are felt; one tenant is restored by copying its rows out of a backup',
    connections: 'shared by all tenants',
  },
  schema: {
    gives: 'own tables, a dump and a restore of one tenant, the same connections for all',
    costs: 'catalog, files and memory of every connection grow with each tenant; migrations run once per tenant',
    connections: 'shared by the tenants of the server',
  },
  database: {
    gives: 'own backup, restore, settings and server; no shared catalog; moves away whole',
    costs: 'a connection serves one tenant only; migrations connect to each; statistics and vacuum run in each',
    connections: 'one at least per tenant that is at work',
  },
}

/**
 * Advises on a model per class of tenants, with reasons, costs, rules, risks and what would change the decision.
 *
 * Computes only: the same facts and costs yield the same advice. Costs are those measured for this release and fitted
 * to the number of tables and indexes; where other hardware is used, measure again and pass the result.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` with the field when a fact cannot be
 * @example
 * ```ts
 * import { advise, QUESTIONS, factsFromAnswers } from 'rowhouse-server'
 * const advice = advise(factsFromAnswers({ tenants: '400', compliance: 'hipaa=3' }))
 * console.assert(advice.classes[0]?.model === 'database' && QUESTIONS.length > 0)
 * ```
 */
export function advise(facts: Facts, costs: MeasuredCosts = MEASURED_COSTS): Advice {
  requireFacts(facts)
  const capacity = capacityOf(facts, costs)
  const classes = classify(facts, capacity)
  return {
    facts,
    classes,
    capacity,
    tradeOffs: MODELS.map((model) => tradeOff(model, facts, costs)),
    servers: serversNeeded(facts, classes),
    rules: rulesFor(facts, classes),
    risks: risksOf(facts, classes, capacity),
    wouldChange: whatWouldChange(facts, capacity),
    costs,
  }
}

function tradeOff(model: Model, facts: Facts, costs: MeasuredCosts): TradeOff {
  const perTenant = costsFor(facts, costs)[model]
  const relations = facts.tenantTables + facts.tenantIndexes
  // A connection to a tenant's own database never meets another tenant's tables.
  const opened = model === 'schema' ? relations * facts.tenants : relations
  return {
    model,
    perTenant,
    diskBytes: perTenant.diskBytes * facts.tenants,
    files: perTenant.files * facts.tenants,
    memoryBytesPerConnection: opened * memoryPerRelation(costs),
    // In shared tables there is one table to change, however many tenants.
    migrateMs: model === 'pooled' ? perTenant.migrateMs * costs.shape.tenants : perTenant.migrateMs * facts.tenants,
    ...GIVES[model],
  }
}

function serversNeeded(facts: Facts, classes: readonly ClassAdvice[]): ServersNeeded[] {
  const needed = Math.max(...classes.map(({ servers }) => servers))
  const bound = facts.residency.reduce((sum, { tenants }) => sum + tenants, 0)
  const free = facts.tenants - bound
  const regions = [...facts.residency, ...(free > 0 || bound === 0 ? [{ region: '', tenants: free }] : [])]
  return regions.map(({ region, tenants }) => {
    const servers = Math.max(1, Math.ceil((needed * tenants) / facts.tenants))
    const where = region === '' ? 'no region is prescribed' : `${tenants} tenants may not leave it`
    return { region, servers, why: where }
  })
}

function rulesFor(facts: Facts, classes: readonly ClassAdvice[]): PlacementRules {
  const rules = classes.flatMap(({ rule }) => (rule === undefined ? [] : [rule]))
  const standard = classes.find(({ name }) => name === 'standard')
  // Where no tenant is without needs, whoever is not recognised goes where most is guarded.
  const strongest = Math.max(...classes.map(({ model }) => MODELS.indexOf(model)))
  const model = standard?.model ?? MODELS[strongest] ?? 'database'
  const labels = classes.flatMap(({ name, rule }) =>
    rule === undefined ? [] : name === 'own-restore' ? ['restore'] : name === 'own-tables' ? ['tables'] : [],
  )
  return {
    rules,
    default: { model, ...(facts.selfService && { standby: true }) },
    // A profile this decision does not know is refused at provisioning instead of placed by the default.
    vocabulary: { compliance: facts.compliance.map(({ profile }) => profile), ...(labels.length > 0 && { labels }) },
  }
}

function risksOf(facts: Facts, classes: readonly ClassAdvice[], capacity: Capacity): string[] {
  const risks: string[] = []
  const inModel = (model: Model) => classes.filter((each) => each.model === model)
  const count = (model: Model) => inModel(model).reduce((sum, { tenants }) => sum + tenants, 0)
  if (count('pooled') > 0)
    risks.push(
      'A pooled tenant that grows is felt by its neighbours: set limits per plan, and move it before it is large',
    )
  if (count('schema') > 0)
    risks.push(
      `Memory of connections grows with each schema they meet: ${capacity.schemas} schemas on a server are the limit here; connections that are replaced from time to time give it back`,
    )
  if (count('database') > capacity.connections)
    risks.push(
      `${count('database')} databases share ${capacity.connections} connections: when more tenants work at once, they wait for each other's connection to be closed and opened anew`,
    )
  const restored = classes.find(({ name }) => name === 'own-restore')
  if (restored !== undefined && restored.model !== 'pooled')
    risks.push(
      'PostgreSQL restores to a moment for whole servers only: to put one tenant back, keep dumps as often as needed, or restore the server elsewhere and copy',
    )
  if (restored?.model === 'pooled')
    risks.push(
      `Restoring one tenant ${facts.restore} out of shared tables means a restored copy of the whole pool each time: rehearse how long that takes`,
    )
  if (facts.residency.length > 1)
    risks.push(
      'A region with one server has no other place for its tenants when that server is full or down: placement refuses, it does not leave the region',
    )
  if (facts.largeTenants > 0 && facts.rowsPerTenant.largest >= 10 * LARGE_ROWS)
    risks.push('The largest tenant may outgrow a server of its own: watch it apart from the rest')
  const overlapping = classes.length > 2
  if (overlapping) risks.push('Classes are counted as if no tenant were in two of them: fewer servers may do')
  if (facts.peakConnections > capacity.connections)
    risks.push(
      `${facts.peakConnections} statements at once meet ${capacity.connections} connections: the rest waits in the queue of the pool`,
    )
  return risks
}

function whatWouldChange(facts: Facts, capacity: Capacity): string[] {
  const known = new Set<string>(facts.compliance.map(({ profile }) => profile))
  const strict = (Object.keys(COMPLIANCE) as ComplianceProfile[]).filter(
    (profile) => COMPLIANCE[profile].atLeast !== 'pooled' && !known.has(profile),
  )
  return [
    `A tenant with ${LARGE_ROWS} rows or more: a database for it`,
    `More than ${capacity.schemas} tenants with a schema on one server (${capacity.relations} tables and indexes): another server, or databases`,
    `More than ${capacity.databases} databases on one server: another server`,
    `Other memory than ${gigabytes(facts.serverMemoryBytes)} or another peak than ${facts.peakConnections} connections: both move the limit of schemas in proportion`,
    ...(strict.length > 0 ? [`The first tenant under ${strict.join(', ')}: a class of its own, and its rule`] : []),
    ...(facts.residency.length < 2 ? ['A tenant whose data may not leave another region: a server there'] : []),
    ...(facts.restore === 'never' || facts.restore === 'rarely'
      ? ['Restoring single tenants every day: databases or schemas for those who need it']
      : []),
    ...(facts.customisation === 'tables' ? [] : ['Tables that only one tenant has: a schema for it']),
  ]
}
