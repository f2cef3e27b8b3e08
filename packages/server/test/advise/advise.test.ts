import { describe, expect, it } from 'vitest'
import { type Advice, advise } from '../../src/advise/advise.ts'
import { type Facts, requireFacts } from '../../src/advise/facts.ts'
import { MEASURED_COSTS, memoryPerRelation } from '../../src/advise/measured-costs.ts'
import { choosePlacement } from '../../src/placing/choose-placement.ts'
import { compilePlacementRules } from '../../src/placing/compile-rules.ts'
import type { TenantToPlace } from '../../src/placing/placement-request.ts'
import { request, server } from '../placing/facts.ts'

const GB = 1024 ** 3

const ordinary: Facts = {
  tenants: 200,
  tenantTables: 30,
  tenantIndexes: 60,
  rowsPerTenant: { median: 10_000, p99: 200_000, largest: 500_000 },
  bytesPerTenant: { median: 5_000_000, p99: 100_000_000, largest: 250_000_000 },
  largeTenants: 0,
  compliance: [],
  residency: [],
  restore: 'rarely',
  restoreTenants: 0,
  customisation: 'settings',
  customisedTenants: 0,
  peakConnections: 50,
  maxConnections: 100,
  serverMemoryBytes: 16 * GB,
  selfService: false,
}

const whale = { rowsPerTenant: { median: 10_000, p99: 200_000, largest: 80_000_000 }, largeTenants: 1 }

/** Situation, facts, wanted classes as [name, model, tenants], and words the reasons or risks must hold. */
const situations: [string, Partial<Facts>, [string, string, number][], string[]][] = [
  [
    'an ordinary platform',
    {},
    [['standard', 'pooled', 200]],
    ['rows of one tenant are copied out of a restored backup'],
  ],
  [
    'few large regulated tenants',
    { ...whale, tenants: 12, compliance: [{ profile: 'hipaa', tenants: 12 }], largeTenants: 2 },
    [
      ['regulated-database', 'database', 12],
      ['large', 'database', 2],
    ],
    ['backup, restore and key of one covered entity stay apart from all others'],
  ],
  [
    '100,000 tiny trials',
    {
      tenants: 100_000,
      selfService: true,
      rowsPerTenant: { median: 50, p99: 900, largest: 20_000 },
      bytesPerTenant: { median: 40_000, p99: 500_000, largest: 9_000_000 },
    },
    [['standard', 'pooled', 100_000]],
    ['a schema each is discouraged beyond'],
  ],
  [
    'one whale',
    whale,
    [
      ['large', 'database', 1],
      ['standard', 'pooled', 199],
    ],
    ['a database can be moved to a server of its own'],
  ],
  [
    'data that may not leave two regions',
    {
      residency: [
        { region: 'eu', tenants: 150 },
        { region: 'us', tenants: 50 },
      ],
    },
    [['standard', 'pooled', 200]],
    ['it does not leave the region'],
  ],
  [
    'a few tenants restored every hour',
    { restore: 'hourly', restoreTenants: 20 },
    [
      ['own-restore', 'database', 20],
      ['standard', 'pooled', 180],
    ],
    ['PostgreSQL restores to a moment for whole servers only'],
  ],
  [
    'every one of 20,000 tenants restored every hour',
    { tenants: 20_000, restore: 'hourly', restoreTenants: 20_000 },
    [['own-restore', 'pooled', 20_000]],
    ['servers for restoring alone', 'means a restored copy of the whole pool each time'],
  ],
  [
    'a bank that has to be able to leave',
    {
      compliance: [
        { profile: 'dora', tenants: 5 },
        { profile: 'gdpr', tenants: 200 },
      ],
    },
    [
      ['regulated-schema', 'schema', 5],
      ['standard', 'pooled', 195],
    ],
    ['asks for a rehearsed exit of one institution', 'asks for export, erasure and a known region'],
  ],
  [
    'more banks than schemas fit on a server',
    { tenants: 1_000, compliance: [{ profile: 'dora', tenants: 400 }] },
    [
      ['regulated-schema', 'database', 400],
      ['standard', 'pooled', 600],
    ],
    ['schemas fit on one server'],
  ],
  [
    'tables of their own for some',
    { customisation: 'tables', customisedTenants: 10 },
    [
      ['own-tables', 'schema', 10],
      ['standard', 'pooled', 190],
    ],
    ['tables of one tenant have no place among tables all share'],
  ],
  [
    'tables of their own for 50,000',
    { tenants: 60_000, customisation: 'tables', customisedTenants: 50_000 },
    [
      ['own-tables', 'pooled', 50_000],
      ['standard', 'pooled', 10_000],
    ],
    ['with custom fields in a jsonb column'],
  ],
  [
    'schemas that would make 10,000 relations',
    { tenants: 112, serverMemoryBytes: 8 * GB },
    [['standard', 'pooled', 112]],
    ['a schema each is discouraged beyond'],
  ],
  [
    '2,000 tenants whose contract names a database',
    { tenants: 2_000, compliance: [{ profile: 'contract-database', tenants: 2_000 }] },
    [['regulated-database', 'database', 2_000]],
    ['databases fit on one server', 'databases share 50 connections'],
  ],
  [
    'a mix of everything',
    {
      ...whale,
      tenants: 500,
      compliance: [
        { profile: 'pci-dss', tenants: 4 },
        { profile: 'contract-schema', tenants: 6 },
      ],
      restore: 'daily',
      restoreTenants: 8,
      customisation: 'tables',
      customisedTenants: 5,
    },
    [
      ['regulated-database', 'database', 4],
      ['regulated-schema', 'schema', 6],
      ['large', 'database', 1],
      ['own-restore', 'database', 8],
      ['own-tables', 'schema', 5],
      ['standard', 'pooled', 476],
    ],
    ['Classes are counted as if no tenant were in two of them'],
  ],
  [
    'a pool that outgrows a server',
    { tenants: 300_000, bytesPerTenant: { median: 10_000_000, p99: 200_000_000, largest: 900_000_000 } },
    [['standard', 'pooled', 300_000]],
    [],
  ],
  [
    'more statements than connections',
    { peakConnections: 400 },
    [['standard', 'pooled', 200]],
    ['400 statements at once meet 90 connections'],
  ],
]

describe('advise()', () => {
  it.each(situations)('%s', (_, facts, wanted, words) => {
    const advice = advise({ ...ordinary, ...facts })
    expect(advice.classes.map(({ name, model, tenants }) => [name, model, tenants])).toEqual(wanted)
    const said = [...advice.classes.flatMap(({ because }) => because.map(({ says }) => says)), ...advice.risks].join(
      '\n',
    )
    for (const word of words) expect(said).toContain(word)
    for (const { name, because } of advice.classes) expect([name, because.length > 0]).toEqual([name, true])
  })

  it.each(situations)('yields rules that place the classes as advised: %s', (_, facts) => {
    const advice = advise({ ...ordinary, ...facts })
    const rules = compilePlacementRules(advice.rules)
    for (const { name, model } of advice.classes) {
      const wish = request(exampleOf(name, advice))
      expect([name, choosePlacement(rules, wish, [server('a')]).model]).toEqual([name, model])
    }
  })

  it('computes the limit of schemas from measured memory, and moves it with memory and connections', () => {
    const of = (facts: Partial<Facts>) => advise({ ...ordinary, ...facts }).capacity
    const { relations, schemas } = of({})
    expect(relations).toBe(Math.floor((16 * GB * 0.25) / (50 * memoryPerRelation(MEASURED_COSTS))))
    expect(schemas).toBe(Math.floor(relations / 90))
    expect(of({ serverMemoryBytes: 32 * GB }).relations).toBeGreaterThan(relations * 1.9)
    expect(of({ peakConnections: 25 }).relations).toBeGreaterThan(relations * 1.9)
    expect(of({ tenantTables: 60, tenantIndexes: 120 }).schemas).toBe(Math.floor(relations / 180))
  })

  it('names the limit of relations where schemas would pass it, and not where they would not', () => {
    const speaks = (tenants: number) =>
      advise({ ...ordinary, tenants }).classes.some(({ because }) =>
        because.some(({ says }) => says.includes('discouraged')),
      )
    const { schemas } = advise(ordinary).capacity
    expect([speaks(schemas), speaks(schemas + 1)]).toEqual([false, true])
  })

  it('gives a server to each region, and one for those without', () => {
    const residency = [{ region: 'eu', tenants: 150 }]
    expect(advise({ ...ordinary, residency }).servers).toEqual([
      { region: 'eu', servers: 1, why: '150 tenants may not leave it' },
      { region: '', servers: 1, why: 'no region is prescribed' },
    ])
    const tenants = 300_000
    const bytesPerTenant = { median: 10_000_000, p99: 200_000_000, largest: 900_000_000 }
    expect(advise({ ...ordinary, tenants, bytesPerTenant }).servers[0]?.servers).toBe(4)
  })

  it('fits costs to the number of tables, and leaves what an empty database costs anyway', () => {
    const { schema, database } = MEASURED_COSTS.models
    const [, halfSchema, halfDatabase] = advise({ ...ordinary, tenantTables: 15, tenantIndexes: 30 }).tradeOffs
    expect(halfSchema?.perTenant.diskBytes).toBe(Math.round(schema.diskBytes / 2))
    expect(halfDatabase?.perTenant.diskBytes).toBe(Math.round(database.diskBytes - schema.diskBytes / 2))
  })

  it('sends whoever no rule knows to the strongest model where no tenant is without needs', () => {
    const all = advise({ ...ordinary, tenants: 12, compliance: [{ profile: 'hipaa', tenants: 12 }] })
    expect(all.rules.default.model).toBe('database')
    expect(() =>
      choosePlacement(compilePlacementRules(all.rules), request({ compliance: ['pci-dss'] }), [server('a')]),
    ).toThrow('profile "pci-dss" is unknown to the rules; the vocabulary has hipaa')
  })
})

describe('requireFacts()', () => {
  it.each([
    [{ tenants: -5 }, '"tenants" is -5; wanted a whole number from 1 on'],
    [{ tenants: 0 }, '"tenants" is 0; wanted a whole number from 1 on'],
    [{ tenantTables: 2.5 }, '"tenantTables" is 2.5; wanted a whole number from 1 on'],
    [{ tenantIndexes: Number.NaN }, '"tenantIndexes" is null; wanted a whole number from 0 on'],
    [
      { rowsPerTenant: { median: 5, p99: 4, largest: 9 } },
      '"rowsPerTenant" is {"median":5,"p99":4,"largest":9}; wanted median ≤ p99 ≤ largest',
    ],
    [{ bytesPerTenant: { median: -1, p99: 4, largest: 9 } }, '"bytesPerTenant.median" is -1'],
    [{ compliance: [{ profile: 'hippa', tenants: 1 }] }, '"compliance" is "hippa"; wanted one of gdpr, soc2'],
    [{ compliance: [{ profile: 'gdpr', tenants: 201 }] }, '"compliance.tenants" is 201; wanted at most "tenants", 200'],
    [
      {
        compliance: [
          { profile: 'gdpr', tenants: 1 },
          { profile: 'gdpr', tenants: 2 },
        ],
      },
      '"compliance" is "gdpr"; wanted each name once',
    ],
    [{ residency: [{ region: '', tenants: 1 }] }, '"residency" is ""; wanted the name of a region'],
    [
      {
        residency: [
          { region: 'eu', tenants: 150 },
          { region: 'us', tenants: 51 },
        ],
      },
      '"residency" is 201; wanted tenants in regions',
    ],
    [{ restore: 'sometimes' }, '"restore" is "sometimes"; wanted one of never, rarely, daily, hourly'],
    [{ restore: 'hourly' }, '"restoreTenants" is 0; wanted at least 1, because "restore" is "daily" or "hourly"'],
    [{ restoreTenants: 3 }, '"restoreTenants" is 3; wanted 0, unless "restore" is "daily" or "hourly"'],
    [{ customisation: 'tables' }, '"customisedTenants" is 0; wanted at least 1'],
    [{ customisation: 'tables', customisedTenants: 201 }, '"customisedTenants" is 201; wanted at most "tenants", 200'],
    [{ largeTenants: 1 }, '"largeTenants" is 1; wanted 0, because the largest tenant has 500000 rows'],
    [
      { ...whale, largeTenants: 0 },
      '"largeTenants" is 0; wanted at least 1, because the largest tenant has 80000000 rows',
    ],
    [{ selfService: 'yes' }, '"selfService" is "yes"; wanted true or false'],
    [{ compliance: 'gdpr' }, '"compliance" is "gdpr"; wanted a list'],
  ])('refuses %j', (facts, fault) => {
    expect(() => requireFacts({ ...ordinary, ...facts } as Facts)).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_INVALID',
        message: expect.stringContaining(`Cannot advise on a model: ${fault}`),
      }),
    )
  })
})

/** A tenant of the class, as it would be provisioned. */
function exampleOf(name: string, { rules, facts }: Advice): Partial<TenantToPlace> {
  const under = (models: readonly string[]) =>
    facts.compliance
      .map(({ profile }) => profile as string)
      .filter((profile) => models.includes(profile))
      .slice(0, 1)
  const examples: Record<string, Partial<TenantToPlace>> = {
    'regulated-database': { compliance: under(['hipaa', 'pci-dss', 'fedramp', 'contract-database']) },
    'regulated-schema': { compliance: under(['dora', 'contract-schema']) },
    large: { expectedRows: 80_000_000 },
    'own-restore': { labels: { restore: 'own' } },
    'own-tables': { labels: { tables: 'own' } },
    standard: { compliance: (rules.vocabulary?.compliance ?? []).filter((profile) => profile === 'gdpr') },
  }
  return examples[name] ?? {}
}
