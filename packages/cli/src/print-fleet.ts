import { relative } from 'node:path'
import type { HomeAddress, HomeLeft, LintFinding } from 'rowhouse-server'
import type { Io, Output } from './command.ts'
import { countText, toned } from './terminal.ts'

/** Homes that are named one by one; thousands tell nobody more than their number. */
const SHOWN = 20

/** Names a home on one line: server, and the tenant's own schema or database. */
export function homeOf({ server, database, schema }: HomeAddress): string {
  const own = schema ?? database
  return own === undefined ? server : `${server}/${own}`
}

/** Prints homes that are not migrated, with the reason. */
export function printLeft(io: Io, output: Output, left: readonly HomeLeft[]): void {
  for (const { home, tenant, reason } of left.slice(0, SHOWN)) output.write(`  ${tenant ?? homeOf(home)}: ${reason}\n`)
  if (left.length > SHOWN) output.write(`  ${toned(io, output, 'dim', `and ${countText(left.length - SHOWN)} more`)}\n`)
}

const MARKS = { error: '✗', warning: '!', note: 'i' } as const

/** Returns what the lint found, ready to be read: where, what, why, and the SQL that reaches the same end safely. */
export function lintLines(io: Io, output: Output, findings: readonly LintFinding[]): string[] {
  return findings.flatMap(({ rule, severity, file, line, message, why, mend, allowed }) => {
    const tone = allowed === undefined && severity === 'error' ? 'bad' : 'dim'
    const mark = toned(io, output, tone, allowed === undefined ? MARKS[severity] : '·')
    const reason = allowed === undefined ? why : `allowed: ${allowed}`
    return [
      `  ${mark} ${rule} ${relative(io.cwd ?? process.cwd(), file)}:${line}: ${message}`,
      `      ${toned(io, output, 'dim', reason)}`,
      ...mend.map((text) => `      ${text.trim().replaceAll('\n', '\n      ')}`),
    ]
  })
}
