/** The findings as code scanning wants them: the required properties of SARIF 2.1.0, checked by hand. */

import { expect, test } from 'vitest'
import { ALL_RULES } from '../../src/doctor/rules.ts'
import type { Finding } from '../../src/report/finding.ts'
import { toSarif } from '../../src/report/sarif.ts'

const tool = { name: 'rowhouse doctor', version: '0.1.0' }
const helpUri = 'https://example.com/rules/L26.md'
const rules = ALL_RULES.map((rule) => (rule.id === 'L26' ? { ...rule, helpUri } : rule))
const results: Finding[] = [
  { rule: 'L26', severity: 'error', object: 'constraint "a b" on public.t', message: 'wrong', mend: 'select 1;' },
  { rule: 'L26', severity: 'error', object: 'constraint c on public.t', message: 'wrong' },
  { rule: 'L56', severity: 'note', object: 'server', message: 'old' },
]

test('a log has the required structure of SARIF 2.1.0', () => {
  const log = JSON.parse(JSON.stringify(toSarif({ tool, rules, results })))
  expect(Object.keys(log).sort()).toEqual(['$schema', 'runs', 'version'])
  expect(log.version).toBe('2.1.0')
  expect(log.$schema).toMatch(/^https:\/\/.*sarif-schema-2\.1\.0\.json$/)
  expect(log.runs).toHaveLength(1)
  const [run] = log.runs
  expect(run.tool.driver).toMatchObject(tool)
  expect(run.tool.driver.rules).toHaveLength(ALL_RULES.length)
  for (const rule of run.tool.driver.rules) {
    expect(rule.id).toMatch(/^L\d{2}$/)
    expect(rule.shortDescription.text).not.toBe('')
    expect(rule.fullDescription.text).not.toBe('')
    expect(['none', 'note', 'warning', 'error']).toContain(rule.defaultConfiguration.level)
    // Nothing of the rule that is not SARIF's, such as its SQL.
    expect(Object.keys(rule).sort()).toEqual([
      'defaultConfiguration',
      'fullDescription',
      ...(rule.id === 'L26' ? ['helpUri'] : []),
      'id',
      'name',
      'shortDescription',
    ])
  }
  expect(new Set(run.tool.driver.rules.map(({ id }: { id: string }) => id)).size).toBe(ALL_RULES.length)
  for (const [index, result] of run.results.entries()) {
    expect(result.message.text).toBe(results[index]?.message)
    expect(result.level).toBe(results[index]?.severity)
    expect(run.tool.driver.rules[result.ruleIndex].id).toBe(result.ruleId)
    expect(result.locations).toEqual([{ logicalLocations: [{ fullyQualifiedName: results[index]?.object }] }])
  }
})

test('a fingerprint stays the same when the wording changes, and differs by rule and object', () => {
  const prints = (findings: Finding[]) =>
    toSarif({ tool, rules, results: findings }).runs[0].results.map(
      ({ partialFingerprints }) => partialFingerprints['ruleAndObject/v1'],
    )
  const first = prints(results)
  expect(first).toEqual(prints(results.map((finding) => ({ ...finding, message: 'reworded' }))))
  expect(new Set(first).size).toBe(3)
  expect(first[2]).toBe('dc13c26b3fb687058e706ada6e955ad355a2b6b626d70f9557284cb78f8e88d9')
})

test('a result of a rule that is not there is a mistake of the caller', () => {
  expect(() => toSarif({ tool, rules: [], results })).toThrow(
    new RangeError('Cannot write a result of rule "L26": it is not among the rules given'),
  )
})
