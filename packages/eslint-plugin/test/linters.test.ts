// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are source code

/** The same plugin in both linters, through their commands, on files as a user has them. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import plugin from '../src/index.ts'
import { createProject, type Project } from './support/published-plugin.ts'

/** One line of bad code per rule; each is found by that rule and by no other. */
const BAD: Readonly<Record<string, string>> = {
  'no-callback-query': `rowhouse.pool.query('select 1', [], (error, result) => use(result))`,
  'no-interpolated-sql': 'rowhouse.db.many(`select * from shipment where id = ${id}`).then(use)',
  'no-module-level-tenant-cache': 'export const loader = new DataLoader(load)',
  'no-raw-pool': `import { Pool } from 'pg'`,
  'no-session-state': `rowhouse.db.query('set role x').then(use)`,
  'no-tenant-from-input': `export const f = (req) => rowhouse.withTenant(req.body.tenant, use)`,
  'no-unscoped-context': `rowhouse.withTenant('acme', use)`,
  'require-cross-tenant-reason': `await rowhouse.crossTenant({ reason: 'todo', actor: 'a', tenants: 'all' }, use)`,
}

const GOOD = `
import type { Rowhouse } from 'rowhouse'

const COLUMNS = ['id', 'number'] as const

export async function listShipments({ db }: Rowhouse, status: string): Promise<unknown[]> {
  return db.many(\`select \${COLUMNS.join(', ')} from shipment where status = $1\`, [status])
}
`

const ESLINT_CONFIG = `
import parser from '@typescript-eslint/parser'
import rowhouse from './plugin/index.js'
export default [{ files: ['*.js', '*.ts'], languageOptions: { parser }, ...rowhouse.configs.recommended }]
`

const OXLINT_CONFIG = {
  categories: { correctness: 'off' },
  jsPlugins: ['./plugin/index.js'],
  rules: plugin.configs.recommended.rules,
}

interface Finding {
  readonly file: string
  readonly rule: string
}

let project: Project

beforeAll(async () => {
  project = await createProject()
  await project.write('eslint.config.js', ESLINT_CONFIG)
  await project.write('.oxlintrc.json', JSON.stringify(OXLINT_CONFIG))
  for (const [rule, code] of Object.entries(BAD)) await project.write(`${rule}.ts`, `${code}\n`)
  await project.write('plain.js', `const { Pool } = require('pg')\n`)
  await project.write('good.ts', GOOD)
}, 120_000)

afterAll(() => project?.remove())

const WANTED = [
  ...Object.keys(BAD).map((rule) => ({ file: `${rule}.ts`, rule: `rowhouse/${rule}` })),
  { file: 'plain.js', rule: 'rowhouse/no-raw-pool' },
].toSorted(byFile)

const FILES = [...WANTED.map(({ file }) => file), 'good.ts']

describe('the plugin', () => {
  it('has a bad line for every rule', () => {
    expect(Object.keys(BAD).toSorted()).toEqual(Object.keys(plugin.rules).toSorted())
  })

  it('finds the bad lines and nothing else in ESLint', async () => {
    const { code, output } = await project.lint('eslint', ['--format', 'json', ...FILES])
    const results = JSON.parse(output) as { filePath: string; messages: { ruleId: string }[] }[]
    const found = results.flatMap(({ filePath, messages }) =>
      messages.map(({ ruleId }) => ({ file: nameOf(filePath), rule: ruleId })),
    )
    expect(found.toSorted(byFile)).toEqual(WANTED)
    expect(code).toBe(1)
  })

  it('finds the same in oxlint', async () => {
    const { code, output } = await project.lint('oxlint', ['--format', 'json', ...FILES])
    const { diagnostics } = JSON.parse(output) as { diagnostics: { filename: string; code: string }[] }
    const found = diagnostics.map(({ filename, code: rule }) => ({
      file: nameOf(filename),
      rule: rule.replace(/^(.*)\((.*)\)$/, '$1/$2'),
    }))
    expect(found.toSorted(byFile)).toEqual(WANTED)
    expect(code).toBe(1)
  })

  it('takes the options of its rules in both linters', async () => {
    await project.write('allowed.ts', `import { Pool } from 'pg'\nexport const pool = new Pool()\n`)
    const rules = { 'rowhouse/no-raw-pool': ['error', { allowFiles: ['allowed.ts'] }] }
    await project.write('options.json', JSON.stringify({ ...OXLINT_CONFIG, rules }))
    await project.write(
      'options.config.js',
      `import base from './eslint.config.js'; export default [...base, { files: ['*.ts'], rules: ${JSON.stringify(rules)} }]`,
    )
    const inEslint = await project.lint('eslint', ['-c', 'options.config.js', 'allowed.ts'])
    const inOxlint = await project.lint('oxlint', ['-c', 'options.json', 'allowed.ts'])
    expect(inEslint).toMatchObject({ code: 0, output: '' })
    expect(inOxlint).toMatchObject({ code: 0 })
    expect(await project.lint('oxlint', ['-c', '.oxlintrc.json', 'allowed.ts'])).toMatchObject({ code: 1 })
  })

  it('refuses options it does not know', async () => {
    await project.write(
      'wrong.config.js',
      `import base from './eslint.config.js'
       export default [...base, { files: ['*.ts'], rules: { 'rowhouse/no-raw-pool': ['error', { allow: ['x'] }] } }]`,
    )
    const { code, output } = await project.lint('eslint', ['-c', 'wrong.config.js', 'good.ts'])
    expect(code).toBe(2)
    expect(output).toContain('Unexpected property "allow"')
  })
})

function byFile(left: Finding, right: Finding): number {
  return left.file < right.file ? -1 : 1
}

function nameOf(path: string): string {
  return path.replace(/^.*[\\/]/, '')
}
