/** The plugin on the code of this repository: quiet where the code is right, loud where it is wrong on purpose. */

import { fileURLToPath } from 'node:url'
import * as parser from '@typescript-eslint/parser'
import { ESLint, type Linter } from 'eslint'
import { describe, expect, it } from 'vitest'
import plugin from '../src/index.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** Parts of the example that are the operator's, not the application's: they make schema and demonstration. */
const OPERATOR_FILES = ['examples/freight/src/schema.ts', 'examples/freight/src/demo/start-freight-demo.ts']

async function lint(paths: readonly string[], rules: Linter.RulesRecord = {}): Promise<string[]> {
  const { recommended } = plugin.configs
  const config = { ...recommended, files: ['**/*.{ts,tsx}'], languageOptions: { parser: parser as Linter.Parser } }
  const eslint = new ESLint({
    cwd: ROOT,
    overrideConfigFile: true,
    overrideConfig: [{ ...config, rules: { ...recommended.rules, ...rules } }],
  })
  const results = await eslint.lintFiles([...paths])
  return results.flatMap(({ filePath, messages }) =>
    messages.map(({ ruleId, line }) => `${filePath.slice(ROOT.length)}:${line} ${ruleId}`),
  )
}

describe('the recommended configuration', () => {
  it('finds nothing in freight but in its attack lab', async () => {
    const allowOperator: Linter.RulesRecord = { 'rowhouse/no-raw-pool': ['error', { allowFiles: OPERATOR_FILES }] }
    const found = await lint(['examples/freight/src/**/*.{ts,tsx}'], allowOperator)
    expect(found.filter((line) => !line.startsWith('examples/freight/src/lab/'))).toEqual([])
  })

  it('finds the weak parts of the attack lab (control)', async () => {
    const found = await lint(['examples/freight/src/lab/**/*.{ts,tsx}'])
    const rules = new Set(found.map((line) => line.replace(/^(.*):\d+ /, '$1 ')))
    expect(rules).toContain('examples/freight/src/lab/stale-connection.ts rowhouse/no-session-state')
    expect(rules).toContain('examples/freight/src/lab/weak-twins.ts rowhouse/no-interpolated-sql')
  })

  it('finds the connections of the operator while nobody allows them (control)', async () => {
    const found = await lint(OPERATOR_FILES)
    expect(found.map((line) => line.replace(/:\d+/, ''))).toEqual(
      OPERATOR_FILES.map((file) => `${file} rowhouse/no-raw-pool`),
    )
  })

  it('finds nothing in the adapters', async () => {
    expect(await lint(['packages/core/src/adapters/**/*.ts'])).toEqual([])
  })
})
