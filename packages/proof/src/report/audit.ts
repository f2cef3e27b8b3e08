/** The isolation of a schema on paper: what was attacked, what held, what stays open. For whoever asks for an audit. */

import type { Diagnosis } from '../doctor/diagnose.ts'
import { ALL_RULES } from '../doctor/rules.ts'
import type { MutationReport } from '../mutate/mutate.ts'
import type { VerifyReport } from '../verify/verify.ts'
import { attackLines } from '../verify/verify-report.ts'

export interface AuditInput {
  readonly report: VerifyReport
  readonly diagnosis: Diagnosis
  readonly mutations?: MutationReport
  readonly version: string
  /** Day of the audit. @defaultValue today */
  readonly date?: Date
}

/** Returns the audit as Markdown. Every number in it comes from the reports given; nothing is asked again. */
export function writeAudit({ report, diagnosis, mutations, version, date = new Date() }: AuditInput): string {
  return [
    `# Tenant isolation of ${report.database}`,
    `${date.toISOString().slice(0, 10)}, rowhouse ${version}, PostgreSQL ${serverVersion(report.server)}, tenants in shared tables (pooled).`,
    section('Result', resultLines(report, diagnosis, mutations)),
    section('How it was tested', [
      'A copy of the schema was attacked, with two tenants whose ids collide and no real rows: through the library as the application uses it, and through SQL as its login. Each attack was also run on a copy weakened on purpose, where it has to succeed; a refusal whose control did not succeed counts as void.',
    ]),
    section('Attacks', attackTable(report)),
    section('Findings of the doctor', findingLines(diagnosis)),
    section('Not attacked', notAttacked(report)),
    section('Open in any PostgreSQL', [
      '| | what | if it matters |',
      '|---|---|---|',
      ...report.residuals.map(({ id, what, instead }) => `| ${id} | ${what} | ${instead} |`),
    ]),
    section(
      'Surfaces that do not exist yet',
      report.later.map(({ surface, ids }) => `- ${surface}: ${ids.join(', ')}`),
    ),
  ]
    .join('\n\n')
    .concat('\n')
}

function section(title: string, lines: readonly string[]): string {
  return [`## ${title}`, '', ...(lines.length === 0 ? ['None.'] : lines)].join('\n')
}

function resultLines(report: VerifyReport, diagnosis: Diagnosis, mutations: MutationReport | undefined): string[] {
  const errors = diagnosis.findings.filter(({ severity }) => severity === 'error').length
  return [
    `- **${report.isolated && errors === 0 ? 'Isolated' : 'Not shown to be isolated'}**: ${report.leaked} attacks leaked, ${report.refused} were refused, ${report.void} are void, ${report.notApplicable} do not apply.`,
    `- Controls: ${report.controls.fired} of ${report.controls.total} succeeded where they had to.`,
    ...(mutations === undefined
      ? []
      : [`- Mutations: ${mutations.killed} of ${mutations.total} holes torn on purpose were noticed.`]),
    `- Doctor: ${errors} errors, ${diagnosis.accepted.length} findings accepted, ${diagnosis.failed.length} rules could not ask.`,
  ]
}

function attackTable(report: VerifyReport): string[] {
  const lines = attackLines(report).map(
    (line) =>
      `| ${line.attack} | ${line.title} | ${line.refused} | ${line.leaked} | ${line.void} | ${line.notApplicable} |`,
  )
  const leaks = report.cells
    .filter(({ verdict }) => verdict === 'leaked' || verdict === 'void')
    .map(({ attack, verb, target, verdict, how }) => `- **${verdict}** ${attack} ${verb} \`${target}\`: ${how}`)
  return [
    '| attack | what was tried | refused | leaked | void | n/a |',
    '|---|---|---|---|---|---|',
    ...lines,
    ...(leaks.length === 0 ? [] : ['', ...leaks]),
  ]
}

function findingLines({ findings, accepted, failed }: Diagnosis): string[] {
  const titles = new Map<string, string>(ALL_RULES.map(({ id, title }) => [id, title]))
  return [
    ...findings.map(({ rule, severity, message }) => `- ${severity} ${rule} (${titles.get(rule) ?? ''}): ${message}`),
    ...accepted.map(({ rule, message }) => `- accepted ${rule}: ${message}`),
    ...failed.map(({ rule, error }) => `- not asked ${rule}: ${error}`),
  ]
}

function notAttacked(report: VerifyReport): string[] {
  const reasons = new Map<string, number>()
  for (const { verdict, how } of report.cells)
    if (verdict === 'not-applicable') reasons.set(how, (reasons.get(how) ?? 0) + 1)
  return [
    ...[...reasons].map(([reason, count]) => `- ${count} times: ${reason}`),
    ...report.uncloned.map(({ object, reason }) => `- \`${object}\`: ${reason}`),
    ...report.empty.map(({ table, reason }) => `- \`${table}\` has no rows: ${reason}`),
  ]
}

function serverVersion(number: number): string {
  return `${Math.floor(number / 10_000)}.${number % 10_000}`
}
