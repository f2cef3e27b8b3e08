import type { Finding } from '../report/finding.ts'

/** SQL that mends findings, for an operator to read and to run. */
export interface FixMigration {
  /** Runs in one transaction. Undefined where there is nothing for it. */
  readonly transactional: string | undefined
  /** Runs after it, statement by statement, outside of a transaction. Undefined where there is nothing for it. */
  readonly concurrent: string | undefined
  /** Findings no SQL mends by itself; they are comments at the end of the first text that there is. */
  readonly manual: readonly Finding[]
}

/** What PostgreSQL refuses inside a transaction, or what would be there only after it. */
const OUTSIDE_OF_TRANSACTIONS = [
  /\b(?:create(?: unique)?|drop|re)\s*index\s+concurrently\b/i,
  /\bdetach\s+partition\b.*\bconcurrently\b/is,
  /^\s*alter\s+system\b/i,
  /^\s*drop\s+subscription\b/i,
  /^\s*(?:create|drop)\s+database\b/i,
  /\bpg_drop_replication_slot\b/i,
]

/**
 * Writes what mends the findings as a migration: each statement once, in the order of rule and object, below a comment
 * that says which finding it mends. Forward only: nothing here undoes itself. Runs nothing.
 *
 * @example
 * ```ts
 * import { diagnose, writeFixMigration } from 'rowhouse-proof'
 * const { findings } = await diagnose({ url: process.env.ROWHOUSE_ADMIN_URL })
 * const { transactional, concurrent } = writeFixMigration(findings)
 * console.log(transactional ?? '', concurrent ?? '')
 * ```
 */
export function writeFixMigration(findings: readonly Finding[]): FixMigration {
  const ordered = [...findings].sort(
    (a, b) =>
      Number(a.rule.slice(1)) - Number(b.rule.slice(1)) || (a.object < b.object ? -1 : a.object > b.object ? 1 : 0),
  )
  const manual = ordered.filter(({ mend }) => mend === undefined)
  const groups = [...groupByMend(ordered)]
  const outside = groups.filter(([mend]) => OUTSIDE_OF_TRANSACTIONS.some((pattern) => pattern.test(mend)))
  const inside = groups.filter((group) => !outside.includes(group))
  const notes = writeManual(manual)
  const transactional = join([
    ...(inside.length === 0 ? [] : [HEADING, 'begin;', ...inside.map(writeGroup), 'commit;']),
    ...(outside.length > 0 && inside.length === 0 ? [] : notes),
  ])
  const concurrent = join(
    outside.length === 0 ? [] : [HEADING_CONCURRENT, ...outside.map(writeGroup), ...(inside.length === 0 ? notes : [])],
  )
  return { transactional, concurrent, manual }
}

const HEADING = `-- Mends findings of the doctor. Read it before you run it; run it as the operator.`
const HEADING_CONCURRENT = `-- Mends findings of the doctor. Run it after the migration, statement by statement and outside of a transaction
-- (psql without --single-transaction): an index is built while others write.`

function groupByMend(findings: readonly Finding[]): Map<string, Finding[]> {
  const groups = new Map<string, Finding[]>()
  for (const finding of findings) {
    if (finding.mend === undefined) continue
    const group = groups.get(finding.mend)
    if (group === undefined) groups.set(finding.mend, [finding])
    else group.push(finding)
  }
  return groups
}

function writeGroup([mend, findings]: readonly [string, readonly Finding[]]): string {
  return [...findings.map(comment), mend.trimEnd().endsWith(';') ? mend : `${mend};`].join('\n')
}

function writeManual(manual: readonly Finding[]): string[] {
  if (manual.length === 0) return []
  return [['-- To be mended by a person:', ...manual.map(comment)].join('\n')]
}

/** A name of an object may hold a line break; what follows it would no longer be a comment. */
function comment({ rule, object, message }: Finding): string {
  return `-- ${rule} ${oneLine(object)}: ${oneLine(message)}`
}

function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')
}

function join(parts: readonly string[]): string | undefined {
  return parts.length === 0 ? undefined : `${parts.join('\n\n')}\n`
}
