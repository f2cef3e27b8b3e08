/** Writes the table of docs/guides/migrations-lint.md: `node --conditions=source --import tsx packages/server/test/fleet/write-lint-page.ts`. */

import { readFileSync, writeFileSync } from 'node:fs'
import { LINT_RULES } from '../../src/fleet/lint/rules.ts'

const page = new URL('../../../../docs/guides/migrations-lint.md', import.meta.url)
const rows = LINT_RULES.map(
  ({ id, name, severity, title, instead }) => `| ${id} | \`${name}\` | ${severity} | ${title} | ${instead} |`,
)
const [before = '', after = ''] = readFileSync(page, 'utf8').split(
  /(?<=\|---\|---\|---\|---\|---\|\n)(?:\| M\d+ \|.*\n)*/,
)
writeFileSync(page, `${before}${rows.join('\n')}\n${after}`)
