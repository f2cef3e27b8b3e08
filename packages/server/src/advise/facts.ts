import { ConfigError } from 'rowhouse'

/**
 * Profiles a tenant can be under, and what each means for where it lives.
 *
 * No law among these names a database layout. `database` is our reading of what auditors ask for first: a backup, a
 * restore and a key that concern nobody else. `contract-*` is for tenants whose contract does name one.
 */
export const COMPLIANCE = {
  gdpr: { atLeast: 'pooled', why: 'asks for export, erasure and a known region, which pooled tenants have' },
  soc2: { atLeast: 'pooled', why: 'asks for access control that is enforced and shown, which the seal and verify do' },
  iso27001: {
    atLeast: 'pooled',
    why: 'asks for access control that is enforced and shown, which the seal and verify do',
  },
  dora: { atLeast: 'schema', why: 'asks for a rehearsed exit of one institution, which is a dump of one schema' },
  hipaa: { atLeast: 'database', why: 'backup, restore and key of one covered entity stay apart from all others' },
  'pci-dss': { atLeast: 'database', why: 'a database of its own keeps the others out of the audited scope' },
  fedramp: { atLeast: 'database', why: 'the boundary to be authorised is a database and not a set of rows' },
  'contract-schema': { atLeast: 'schema', why: 'the contract names a schema of its own' },
  'contract-database': { atLeast: 'database', why: 'the contract names a database of its own' },
} as const satisfies Record<string, { atLeast: 'pooled' | 'schema' | 'database'; why: string }>

export type ComplianceProfile = keyof typeof COMPLIANCE

/**
 * From how many rows on a tenant is large: vacuum, an index build and a copy of its rows then take minutes, and in a
 * shared table all the others wait for them.
 */
export const LARGE_ROWS = 10_000_000

/** How often one tenant alone has to be put back to an earlier state. */
export const RESTORE_NEEDS = ['never', 'rarely', 'daily', 'hourly'] as const
export type RestoreNeed = (typeof RESTORE_NEEDS)[number]

/** How far tenants differ: in settings and custom fields, or in tables of their own. */
export const CUSTOMISATIONS = ['none', 'settings', 'tables'] as const
export type Customisation = (typeof CUSTOMISATIONS)[number]

/** Quartiles would hide the one that matters: the largest. */
export interface Spread {
  readonly median: number
  readonly p99: number
  readonly largest: number
}

/** What `advise` decides from. Everything is about tenants as they are expected, not only as they are. */
export interface Facts {
  readonly tenants: number
  /** Tables with a tenant column. */
  readonly tenantTables: number
  /** Indexes of those tables. */
  readonly tenantIndexes: number
  /** Rows per tenant, over all of its tables. */
  readonly rowsPerTenant: Spread
  /** Bytes per tenant, indexes included. */
  readonly bytesPerTenant: Spread
  /** Tenants far larger than the rest: see `LARGE_ROWS`. */
  readonly largeTenants: number
  readonly compliance: readonly { readonly profile: ComplianceProfile; readonly tenants: number }[]
  /** Regions data may not leave; one entry or none where it does not matter. */
  readonly residency: readonly { readonly region: string; readonly tenants: number }[]
  readonly restore: RestoreNeed
  /** Tenants who need `restore`, where it is `daily` or `hourly`. */
  readonly restoreTenants: number
  readonly customisation: Customisation
  /** Tenants with tables of their own, where customisation is `tables`. */
  readonly customisedTenants: number
  /** Statements in flight at the busiest time, over all processes of the application. */
  readonly peakConnections: number
  /** Of the server the tenants are to live on. */
  readonly maxConnections: number
  readonly serverMemoryBytes: number
  /** Tenants sign up by themselves and expect to work at once. */
  readonly selfService: boolean
}

const SPREADS = ['rowsPerTenant', 'bytesPerTenant'] as const
const COUNTS = [
  ...['tenants', 'tenantTables', 'tenantIndexes', 'largeTenants', 'restoreTenants', 'customisedTenants'],
  ...['peakConnections', 'maxConnections', 'serverMemoryBytes'],
] as (keyof Facts)[]
const AT_LEAST_ONE: readonly (keyof Facts)[] = [
  ...(['tenants', 'tenantTables', 'peakConnections', 'maxConnections', 'serverMemoryBytes'] as const),
]

/** Classes are parts of all tenants: more of them than there are is a slip of the keyboard, and changes the advice. */
const PARTS = ['largeTenants', 'restoreTenants', 'customisedTenants'] as const

/**
 * Returns `facts` when they can be decided from.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` with the field, its value and what is wanted
 */
export function requireFacts(facts: Facts): Facts {
  for (const field of COUNTS) requireCount(field, facts[field], AT_LEAST_ONE.includes(field) ? 1 : 0)
  for (const field of SPREADS) requireSpread(field, facts[field])
  requireOneOf('restore', facts.restore, RESTORE_NEEDS)
  requireOneOf('customisation', facts.customisation, CUSTOMISATIONS)
  if (typeof facts.selfService !== 'boolean') throw wrong('selfService', facts.selfService, 'true or false')
  for (const field of PARTS)
    if (facts[field] > facts.tenants) throw wrong(field, facts[field], `at most "tenants", ${facts.tenants}`)
  const { largest } = facts.rowsPerTenant
  if (largest >= LARGE_ROWS !== facts.largeTenants > 0)
    throw wrong(
      'largeTenants',
      facts.largeTenants,
      `${largest >= LARGE_ROWS ? 'at least 1' : '0'}, because the largest tenant has ${largest} rows and large ones have ${LARGE_ROWS}`,
    )
  requireList('compliance', facts.compliance, facts.tenants, ({ profile }) =>
    requireOneOf('compliance', profile, Object.keys(COMPLIANCE)),
  )
  requireList('residency', facts.residency, facts.tenants, ({ region }) => {
    if (typeof region !== 'string' || region === '') throw wrong('residency', region, 'the name of a region')
  })
  const abroad = facts.residency.reduce((sum, { tenants }) => sum + tenants, 0)
  if (abroad > facts.tenants)
    throw wrong('residency', abroad, `tenants in regions that together are at most "tenants", ${facts.tenants}`)
  requireConsequence('restoreTenants', facts.restoreTenants, facts.restore === 'daily' || facts.restore === 'hourly')
  requireConsequence('customisedTenants', facts.customisedTenants, facts.customisation === 'tables')
  return facts
}

/** Tenants with a need and nobody who has it, or the other way round, is a question answered twice and differently. */
function requireConsequence(field: 'restoreTenants' | 'customisedTenants', count: number, needed: boolean): void {
  const cause = field === 'restoreTenants' ? '"restore" is "daily" or "hourly"' : '"customisation" is "tables"'
  if (needed && count === 0) throw wrong(field, count, `at least 1, because ${cause}`)
  if (!needed && count > 0) throw wrong(field, count, `0, unless ${cause}`)
}

function requireSpread(field: (typeof SPREADS)[number], spread: Spread): void {
  if (typeof spread !== 'object' || spread === null) throw wrong(field, spread, 'median, p99 and largest')
  const { median, p99, largest } = spread
  for (const [name, value] of Object.entries({ median, p99, largest })) requireCount(`${field}.${name}`, value, 0)
  if (median > p99 || p99 > largest) throw wrong(field, { median, p99, largest }, 'median ≤ p99 ≤ largest')
}

function requireList<T extends { readonly tenants: number }>(
  field: string,
  list: readonly T[],
  tenants: number,
  each: (entry: T) => void,
): void {
  if (!Array.isArray(list)) throw wrong(field, list, 'a list')
  const names = new Set<unknown>()
  for (const entry of list) {
    if (typeof entry !== 'object' || entry === null) throw wrong(field, entry, 'entries with a name and "tenants"')
    each(entry)
    requireCount(`${field}.tenants`, entry.tenants, 1)
    if (entry.tenants > tenants) throw wrong(`${field}.tenants`, entry.tenants, `at most "tenants", ${tenants}`)
    const name = Object.values(entry).find((value) => typeof value === 'string')
    if (names.has(name)) throw wrong(field, name, 'each name once')
    names.add(name)
  }
}

function requireCount(field: string, value: unknown, least: number): void {
  if (!Number.isSafeInteger(value) || (value as number) < least)
    throw wrong(field, value, `a whole number from ${least} on`)
}

function requireOneOf(field: string, value: unknown, known: readonly string[]): void {
  if (typeof value !== 'string' || !known.includes(value)) throw wrong(field, value, `one of ${known.join(', ')}`)
}

function wrong(field: string, value: unknown, wanted: string): ConfigError {
  const given = (JSON.stringify(value) ?? 'nothing').slice(0, 80)
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot advise on a model: "${field}" is ${given}; wanted ${wanted}`)
}
