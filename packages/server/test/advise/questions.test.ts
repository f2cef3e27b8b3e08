import { describe, expect, it } from 'vitest'
import { advise } from '../../src/advise/advise.ts'
import { writeDecisionRecord } from '../../src/advise/decision-record.ts'
import { MEASURED_COSTS } from '../../src/advise/measured-costs.ts'
import { type Answers, factsFromAnswers, QUESTIONS } from '../../src/advise/questions.ts'
import { compilePlacementRules } from '../../src/placing/compile-rules.ts'
import { parsePlacementRules } from '../../src/placing/placement-rules.ts'

describe('factsFromAnswers()', () => {
  it('asks for every fact once, and its fallbacks are facts', () => {
    const facts = factsFromAnswers({})
    expect(QUESTIONS.map(({ field }) => field).toSorted()).toEqual(Object.keys(facts).toSorted())
    expect(new Set(QUESTIONS.map(({ field }) => field)).size).toBe(QUESTIONS.length)
  })

  it('takes an answer before what was read, and what was read before the fallback', () => {
    const facts = factsFromAnswers(
      { tenants: '5_000', compliance: 'hipaa=3, gdpr = 200' },
      { tenants: 7, tenantTables: 12 },
    )
    expect(facts).toMatchObject({
      tenants: 5000,
      tenantTables: 12,
      tenantIndexes: 60,
      compliance: [
        { profile: 'hipaa', tenants: 3 },
        { profile: 'gdpr', tenants: 200 },
      ],
      serverMemoryBytes: 16 * 1024 ** 3,
      selfService: false,
    })
  })

  it.each<[Answers, string]>([
    [{ tenants: '-5' }, 'the answer to "tenants" is "-5"; wanted a whole number from 0 on, e.g. 1_000'],
    [{ tenants: 'many' }, 'the answer to "tenants" is "many"'],
    [{ tenants: '99999999999999999999' }, 'the answer to "tenants"'],
    [
      { serverMemoryBytes: '16' },
      'the answer to "serverMemoryBytes" is "16"; wanted a size with MB, GB or TB, e.g. 16GB',
    ],
    [{ rowsPerTenant: '5/6' }, 'the answer to "rowsPerTenant" is "5/6"; wanted three numbers'],
    [{ compliance: 'hippa=3' }, 'the answer to "compliance" is "hippa"; wanted one of gdpr'],
    [{ compliance: 'hipaa' }, 'the answer to "compliance" is "hipaa"; wanted name=number'],
    [{ restore: 'weekly' }, 'the answer to "restore" is "weekly"; wanted one of never, rarely, daily, hourly'],
    [{ selfService: 'maybe' }, 'the answer to "selfService" is "maybe"; wanted yes or no'],
    [{ tenant: '5' } as Answers, 'the answer to "tenant" is "5"; wanted one of tenants'],
  ])('refuses %j with the field', (answers, fault) => {
    expect(() => factsFromAnswers(answers)).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_INVALID',
        message: expect.stringContaining(`Cannot advise on a model: ${fault}`),
      }),
    )
  })
})

describe('writeDecisionRecord()', () => {
  const advice = advise(
    factsFromAnswers({ tenants: '400', compliance: 'hipaa=3', residency: 'eu=100', selfService: 'yes' }),
  )
  const text = writeDecisionRecord(advice, {
    number: 12,
    date: '2026-11-21',
    estimated: ['Rows of public.a are sampled'],
  })

  it('has the parts of a decision', () => {
    expect(text).toMatch(
      /^# 0012: Where tenants live\n\n\*\*Decision\*\* \(2026-11-21\)\. regulated-database \(3\) in model `database`; standard \(397\) in model `pooled`\. Whoever no rule matches goes to `pooled`\.\n/,
    )
    for (const part of [
      'Why.',
      'Limits of one server.',
      'Servers.',
      'Rules.',
      'Risks.',
      'What would change this.',
      'Facts.',
      'Estimated.',
    ])
      expect(text).toContain(`**${part}**`)
    expect(text).toContain(
      '- **regulated-database** → `database`\n  - `compliance` = hipaa: 3: backup, restore and key',
    )
    expect(text).toContain('eu: 1 at least, 100 tenants may not leave it')
    expect(text).toContain('- Rows of public.a are sampled')
    expect(text).not.toMatch(/undefined|NaN|\[object/)
  })

  it('cites where its costs come from', () => {
    const { date, postgres, machine } = MEASURED_COSTS
    expect(text).toContain(`Measured ${date} on PostgreSQL ${postgres}, ${machine.cores} × ${machine.cpu}`)
  })

  it('holds rules that can be loaded as they stand', () => {
    const json = /```json\n([\s\S]*?)\n```/.exec(text)?.[1] ?? ''
    expect(compilePlacementRules(parsePlacementRules(json, 'record')).rules.map(({ name }) => name)).toEqual([
      'regulated-database',
    ])
    expect(advice.rules.default).toEqual({ model: 'pooled', standby: true })
  })

  it('refuses a number and a day no record can have', () => {
    expect(() => writeDecisionRecord(advice, { number: 0 })).toThrow(
      'Cannot number a decision record 0; wanted 1 to 9999',
    )
    expect(() => writeDecisionRecord(advice, { date: 'today' })).toThrow(
      'Cannot date a decision record "today"; wanted YYYY-MM-DD',
    )
  })
})

describe('measured costs', () => {
  it('are those of a run, not of a table', () => {
    const { models, backend, postgres, date } = MEASURED_COSTS
    expect(date).toMatch(/^\d{4}-\d{2}-\d{2}$/)
    expect(postgres).toMatch(/^\d+\.\d+$/)
    expect(models.pooled.diskBytes).toBeLessThan(models.schema.diskBytes)
    expect(models.schema.diskBytes).toBeLessThan(models.database.diskBytes)
    expect(models.schema.relations).toBeGreaterThanOrEqual(90)
    // In a straight line: the first and the last step cost about the same per relation.
    const [first] = backend.growth
    const perRelation = (first?.cacheBytes ?? 0) / (first?.relations ?? 1)
    expect(perRelation / backend.cacheBytesPerRelation).toBeGreaterThan(0.5)
    expect(perRelation / backend.cacheBytesPerRelation).toBeLessThan(2)
  })
})
