/** Each rule is seen to fire, and to be quiet where it should be; none fails on schemas nobody prepared. */

import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createEmptyDatabase, createTestDatabase, serverMajor } from '../../../core/test/support/database.ts'
import type { Fixtures, Rule } from '../../src/doctor/rule.ts'
import { codeRules } from '../../src/doctor/rules/code.ts'
import { policyRules } from '../../src/doctor/rules/policy.ts'
import { ALL_RULES } from '../../src/doctor/rules.ts'
import { openPatient, type Patient } from './examination.ts'
import { HOSTILE_SCHEMA } from './hostile-schema.ts'
import { findRuleExamples, renderRulePages, replaceRuleTable } from './rule-pages.ts'

let installed: Patient
let elsewhere: Patient

beforeAll(async () => {
  installed = await openPatient(await createTestDatabase())
  elsewhere = await openPatient(await createEmptyDatabase())
})

afterAll(async () => {
  await installed.close()
  await elsewhere.close()
})

const asked = ALL_RULES.filter(({ applies }) => applies === 'any' || applies === 'installed')

describe.each(asked)('$id $name', (rule) => {
  describe('where Rowhouse is installed', () => checkFixtures(rule, rule.fixtures, () => installed))
  if (rule.fixtures.elsewhere) {
    const fixtures = rule.fixtures.elsewhere
    describe('in a database that never saw Rowhouse', () => checkFixtures(rule, fixtures, () => elsewhere))
  }
})

function checkFixtures(rule: Rule, { fires, quiet, survey = {} }: Fixtures, place: () => Patient): void {
  test('has fixtures of both kinds', () => {
    expect(fires.length).toBeGreaterThan(0)
    expect(quiet.length).toBeGreaterThan(0)
  })
  test.each(fires)('fires on: %s', async (script) => {
    const { findings, failed, skipped } = await place().ask([rule], script, {}, survey.fires)
    expect({ failed, skipped }).toEqual({ failed: [], skipped: [] })
    expect(findings.map((finding) => finding.rule)).toContain(rule.id)
    for (const { object, message } of findings) expect([object, message]).not.toContain(null)
  })
  test.each(quiet)('is quiet on: %s', async (script) => {
    const { findings, failed } = await place().ask([rule], script, {}, survey.quiet)
    expect({ findings, failed }).toEqual({ findings: [], failed: [] })
  })
}

/** Rules of other families tell how to build indexes while others write, which no transaction can. */
describe.each([...policyRules, ...codeRules])('$id $name', (rule) => {
  test.each(rule.fixtures.fires)('is quiet once its own SQL has run: %s', async (script) => {
    const { findings } = await installed.ask([rule], script)
    const mends = findings.flatMap(({ mend }) => mend ?? [])
    const { findings: left } = await installed.ask([rule], [script, 'reset role', ...mends].join(';\n'))
    expect(left).toEqual(findings.filter(({ mend }) => mend === undefined))
  })
})

test('the SQL of a finding keeps the unit scope of the table', async () => {
  const { findings } = await installed.ask(
    [...policyRules, ...codeRules],
    `create table t (tenant_id uuid not null, unit_id uuid, id bigint, primary key (tenant_id, id));
     select rowhouse.protect('t', unit_scope => true);
     alter table t no force row level security;
     drop policy rowhouse_wall on t;
     grant truncate on t to rowhouse_app`,
  )
  expect(findings.map(({ rule, mend }) => [rule, mend])).toEqual(
    ['L02', 'L04', 'L17'].map((rule) => [rule, `select rowhouse.protect('public.t', unit_scope => true);`]),
  )
})

describe('all rules', () => {
  test('have ids and names of their own', () => {
    expect(new Set(ALL_RULES.map(({ id }) => id)).size).toBe(ALL_RULES.length)
    expect(new Set(ALL_RULES.map(({ name }) => name)).size).toBe(ALL_RULES.length)
  })

  test('that wait for their subject, or are about code, have no SQL', () => {
    for (const rule of ALL_RULES) expect(rule.sql !== '').toBe(asked.includes(rule))
  })

  test('get an answer from a schema nobody prepared, with Rowhouse and without', async () => {
    for (const patient of [installed, elsewhere]) {
      const { failed, findings } = await patient.ask(ALL_RULES, HOSTILE_SCHEMA)
      expect(failed).toEqual([])
      expect(findings.length).toBeGreaterThan(300)
      for (const { object, message } of findings) expect([object, message]).not.toContain(null)
    }
  })

  // Examples on the pages are what PostgreSQL 18 says.
  test.runIf(serverMajor() === 18)(
    'have an up-to-date page: node --conditions=source --import tsx packages/proof/test/doctor/write-rule-pages.ts; on 18 only, whose words they are',
    async () => {
      const folder = new URL('../../../../docs/rules/', import.meta.url)
      const pages = renderRulePages(ALL_RULES, await findRuleExamples(installed.client, ALL_RULES))
      expect(
        readdirSync(folder)
          .filter((file) => /^L\d/.test(file))
          .sort(),
      ).toEqual([...pages.keys()].sort())
      for (const [file, text] of pages) expect(readFileSync(new URL(file, folder), 'utf8')).toBe(text)
      const readme = readFileSync(new URL('README.md', folder), 'utf8')
      expect(readme).toBe(replaceRuleTable(readme, ALL_RULES))
    },
  )
})

/** As the example does it: tables with unit_id have unit scope, the list of ports is for all to read. */
const PROTECT_FREIGHT = `
  select rowhouse.publish_reference('port');
  select rowhouse.protect(c.oid, unit_scope => exists (
           select from pg_attribute u where u.attrelid = c.oid and u.attname = 'unit_id'))
    from pg_class c join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id'
   where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'`

test('rules about policies and code find nothing in the freight example', async () => {
  const schema = readFileSync(new URL('../../../../examples/freight/sql/000001-freight.sql', import.meta.url), 'utf8')
  const script = `set local role rowhouse_owner; ${schema} ${PROTECT_FREIGHT}`
  const { findings, failed } = await installed.ask([...policyRules, ...codeRules], script)
  expect({ findings, failed }).toEqual({ findings: [], failed: [] })
  const { findings: unprotected } = await installed.ask([...policyRules, ...codeRules], schema)
  expect(unprotected.filter(({ rule }) => rule === 'L01')).toHaveLength(14)
})
