import { describe, expect, it } from 'vitest'
import { makeCase, textsOf } from '../../src/fuzz/statement.ts'

const CASES = Array.from({ length: 4_000 }, (_, number) => makeCase(7, number, 18))
const TEXTS = CASES.map((testCase) => textsOf(testCase).join(';\n'))

describe('makeCase()', () => {
  it('makes the same statement for the same seed and number, whatever was made before', () => {
    for (const number of [3_999, 0, 1_234, 7]) expect(makeCase(7, number, 18)).toEqual(CASES[number])
  })

  it('makes other statements for another seed', () => {
    const others = Array.from({ length: 200 }, (_, number) => textsOf(makeCase(8, number, 18)).join(';\n'))
    expect(others.filter((text, number) => text === TEXTS[number])).toHaveLength(0)
  })

  it('makes hardly a statement twice', () => {
    expect(new Set(TEXTS).size).toBeGreaterThan(3_800)
  })

  it('makes for an older server nothing that it does not know', () => {
    const older = Array.from({ length: 4_000 }, (_, number) => textsOf(makeCase(7, number, 15))).flat()
    expect(older.filter((text) => /not matched by source|^merge .* returning |\b(?:old|new)\./s.test(text))).toEqual([])
  })

  it.each([
    ['inner joins', / join /],
    ['left joins', /left join/],
    ['right joins', /right join/],
    ['full joins', /full join/],
    ['cross joins', /cross join/],
    ['lateral subqueries', /lateral \(/],
    ['EXISTS', /exists \(/],
    ['IN with a subquery', /in \(select/],
    ['row comparisons', /\(\S+, \S+\) (?:<|=|>=|is distinct from) \(/],
    ['named queries', /^with w/],
    ['materialized ones', /as materialized \(/],
    ['not materialized ones', /as not materialized \(/],
    ['recursive ones', /with recursive/],
    ['writing ones', /with w\d+ as \((?:insert|update|delete)/],
    ['windows', /over \(/],
    ['grouping sets', /grouping sets|rollup|cube/],
    ['HAVING', / having /],
    ['FILTER', /filter \(where/],
    ['set operations', /\) (?:union|intersect|except)/],
    ['DISTINCT ON', /distinct on/],
    ['LIMIT', / limit /],
    ['WITH TIES', /with ties/],
    ['VALUES', /\(values /],
    ['jsonb functions', /jsonb_path_query|jsonb_build_object|->>/],
    ['TABLESAMPLE', /tablesample/],
    ['row locks', /for (?:update|share|no key update|key share)/],
    ['ctid', /\.ctid /],
    ['updates without WHERE', /^update \w+ t1 set (?:(?!where).)*$/s],
    ['deletes without WHERE', /^delete from \w+ t1$/m],
    ['UPDATE FROM', /update \w+ t\d+ set .* from /],
    ['DELETE USING', /delete from \w+ t\d+ using/],
    ['RETURNING', / returning /],
    ['old and new rows', /\b(?:old|new)\./],
    ['MERGE', /^merge into/m],
    ['INSERT SELECT', /insert into [^;]* select /],
    ['ON CONFLICT DO NOTHING', /do nothing/],
    ['ON CONFLICT DO UPDATE', /do update set/],
    ['inserts that name another tenant', /insert into \w+ as t\d+ \(tenant_id[^;]*'0b000000-/],
    ['conditions that name another tenant', /tenant_id = '0b000000-/],
    ['cursors', /declare fuzz/],
    ['savepoints', /rollback to savepoint/],
    ['prepared statements', /prepare fuzz_plan/],
    ['traps', /trap\(/],
    ['divisions by zero', /1 \/ \(case/],
    ['casts that fail', /cast\(case/],
    ['partitions by name', /event_low|event_high/],
    ['views', /shipment_overview/],
    ['updatable views', /(?:update|into) open_ledger/],
    ['functions', /shipments_of\(/],
    ['other plans', /set local enable_/],
  ])('makes %s', (_name, form) => {
    expect(TEXTS.some((text) => form.test(text))).toBe(true)
  })

  it('makes every kind in both contexts, and every form', () => {
    const kinds = new Set(CASES.map(({ kind, units }) => `${kind} ${units}`))
    expect(kinds.size).toBeGreaterThanOrEqual(27)
    expect(new Set(CASES.map(({ form }) => form))).toEqual(new Set(['single', 'block', 'rotation', 'generic', 'copy']))
  })
})
