import type { Client } from 'pg'
import type { Finding } from '../report/finding.ts'
import { findReasonNotToApply, type Rule } from './rule.ts'
import type { Survey } from './survey.ts'

/** What a set of rules says about one database. */
export interface Examination {
  readonly findings: readonly Finding[]
  /** Rules that did not apply, with the reason. */
  readonly skipped: readonly { readonly rule: string; readonly reason: string }[]
  /** Rules that could not ask, e.g. for want of a privilege. A failed rule is no clean bill: the exit code says so. */
  readonly failed: readonly { readonly rule: string; readonly error: string }[]
}

/**
 * Asks each rule and collects the answers, ordered by rule and object.
 *
 * Runs inside the caller's transaction where there is one: each rule has its own savepoint, so one that fails stops no
 * other, and changes not yet committed are seen. Changes nothing.
 */
export async function examine(client: Client, survey: Survey, rules: readonly Rule[]): Promise<Examination> {
  const findings: Finding[] = []
  const skipped: { rule: string; reason: string }[] = []
  const failed: { rule: string; error: string }[] = []
  for (const rule of rules) {
    const reason = findReasonNotToApply(rule, survey)
    if (reason !== undefined) {
      skipped.push({ rule: rule.id, reason })
      continue
    }
    try {
      findings.push(...(await ask(client, survey, rule)))
    } catch (error) {
      failed.push({ rule: rule.id, error: error instanceof Error ? error.message : String(error) })
    }
  }
  return { findings, skipped, failed }
}

interface Answer {
  readonly object: string
  readonly message: string
  readonly mend: string | null
}

async function ask(client: Client, survey: Survey, rule: Rule): Promise<Finding[]> {
  // Operators and names are those of PostgreSQL, whatever the judged database has put in the way.
  await client.query('savepoint rule; set local search_path = pg_catalog, pg_temp')
  try {
    // Prepared, because planning takes longer than asking and mutations ask hundreds of times.
    const { rows } = await client.query<Answer>({ name: rule.id, text: rule.sql, values: [JSON.stringify(survey)] })
    return rows
      .map(({ object, message, mend }) => ({
        rule: rule.id,
        severity: rule.severity,
        object,
        message,
        ...(mend === null ? {} : { mend }),
      }))
      .sort((a, b) => (a.object < b.object ? -1 : a.object > b.object ? 1 : 0))
  } finally {
    await client.query('rollback to savepoint rule; release savepoint rule')
  }
}
