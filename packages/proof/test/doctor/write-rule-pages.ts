/**
 * Writes docs/rules: `node --conditions=source --import tsx packages/proof/test/doctor/write-rule-pages.ts`.
 *
 * One page per rule, and the table of rules in README.md. Starts a PostgreSQL of its own, to show what each rule says.
 * A test holds the pages to the rules.
 */

import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { install } from 'rowhouse/install'
import { startPostgres } from 'rowhouse-embedded'
import { ALL_RULES } from '../../src/doctor/rules.ts'
import { findRuleExamples, type RuleExamples, renderRulePages, replaceRuleTable } from './rule-pages.ts'

const folder = fileURLToPath(new URL('../../../../docs/rules', import.meta.url))
const pages = renderRulePages(ALL_RULES, await findExamples())
mkdirSync(folder, { recursive: true })
for (const file of readdirSync(folder)) {
  if (/^L\d+-/.test(file) && !pages.has(file)) rmSync(join(folder, file))
}
for (const [file, text] of pages) writeFileSync(join(folder, file), text)
const readme = join(folder, 'README.md')
writeFileSync(readme, replaceRuleTable(readFileSync(readme, 'utf8'), ALL_RULES))
console.log(`${pages.size} pages`)

async function findExamples(): Promise<RuleExamples> {
  const server = await startPostgres({ settings: { fsync: 'off' } })
  const client = new pg.Client({ connectionString: server.url })
  try {
    await client.connect()
    // Not in the database the server begins with: its name is part of other names.
    await client.query('create database example_of_rules')
    await client.end()
    return await askIn(Object.assign(new URL(server.url), { pathname: '/example_of_rules' }).href)
  } finally {
    await server.stop()
  }
}

async function askIn(url: string): Promise<RuleExamples> {
  await install({ url, rootKey: randomBytes(32).toString('base64'), appPassword: randomBytes(18).toString('hex') })
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await findRuleExamples(client, ALL_RULES)
  } finally {
    await client.end()
  }
}
