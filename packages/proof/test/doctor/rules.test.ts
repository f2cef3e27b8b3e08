/** Each rule is seen to fire, and to be quiet where it should be; none fails on schemas nobody prepared. */

import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { examine } from '../../src/doctor/examine.ts'
import type { Fixtures, Rule } from '../../src/doctor/rule.ts'
import { codeRules } from '../../src/doctor/rules/code.ts'
import { policyRules } from '../../src/doctor/rules/policy.ts'
import { takeSurvey } from '../../src/doctor/survey.ts'

const ALL_RULES = [...policyRules, ...codeRules]

interface Place {
  readonly database: TestDatabase
  readonly client: pg.Client
}

let installed: Place
let elsewhere: Place

beforeAll(async () => {
  installed = await open(await createTestDatabase())
  elsewhere = await open(await createEmptyDatabase())
})

afterAll(async () => {
  for (const { database, client } of [installed, elsewhere]) {
    await client.end()
    await database.drop()
  }
})

async function open(database: TestDatabase): Promise<Place> {
  const client = new pg.Client({ connectionString: database.adminUrl })
  await client.connect()
  return { database, client }
}

async function ask({ client }: Place, rules: readonly Rule[], script: string) {
  await client.query('begin')
  try {
    await client.query(script)
    await client.query('reset role')
    return await examine(client, await takeSurvey(client), rules)
  } finally {
    await client.query('rollback')
  }
}

const asked = ALL_RULES.filter(({ applies }) => applies !== 'later')

describe.each(asked)('$id $name', (rule) => {
  describe('where Rowhouse is installed', () => checkFixtures(rule, rule.fixtures, () => installed))
  if (rule.fixtures.elsewhere) {
    const fixtures = rule.fixtures.elsewhere
    describe('in a database that never saw Rowhouse', () => checkFixtures(rule, fixtures, () => elsewhere))
  }
})

function checkFixtures(rule: Rule, { fires, quiet }: Fixtures, place: () => Place): void {
  test('has fixtures of both kinds', () => {
    expect(fires.length).toBeGreaterThan(0)
    expect(quiet.length).toBeGreaterThan(0)
  })
  test.each(fires)('fires on: %s', async (script) => {
    const { findings, failed, skipped } = await ask(place(), [rule], script)
    expect({ failed, skipped }).toEqual({ failed: [], skipped: [] })
    expect(findings.map((finding) => finding.rule)).toContain(rule.id)
    for (const { object, message } of findings) expect([object, message]).not.toContain(null)
  })
  test.each(quiet)('is quiet on: %s', async (script) => {
    const { findings, failed } = await ask(place(), [rule], script)
    expect({ findings, failed }).toEqual({ findings: [], failed: [] })
  })
}
