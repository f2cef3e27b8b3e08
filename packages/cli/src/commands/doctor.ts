import { readFile } from 'node:fs/promises'
import { buildCommand } from '@stricli/core'
import { ConfigError } from 'rowhouse'
import {
  ALL_RULES,
  type Diagnosis,
  diagnose,
  type Finding,
  newBaseline,
  parseBaseline,
  toSarif,
  writeFixMigration,
} from 'rowhouse-proof'
import { type AdminFlags, adminUrlFileFlag, type Context, command, type Io, jsonFlag } from '../command.ts'
import { FINDINGS } from '../exit-code.ts'
import { writeOutputFiles } from '../output-file.ts'
import { printJson } from '../print.ts'
import { adminSettings } from '../settings.ts'
import { readVersion } from '../version.ts'

interface Flags extends AdminFlags {
  readonly fix?: string
  readonly sarif?: string
  readonly baseline?: string
  readonly accept?: string
  readonly until?: string
  readonly rule?: readonly string[]
  readonly appRole?: readonly string[]
  readonly tenantColumn?: string
}

const DEFAULT_BASELINE = 'rowhouse-baseline.json'

export const doctorCommand = buildCommand<Flags, [], Context>({
  func: command<Flags, []>(async (io, flags) => {
    const file = flags.baseline ?? DEFAULT_BASELINE
    const baseline = await readBaseline(file, flags.baseline !== undefined)
    const diagnosis = await diagnose({
      ...adminSettings(io.env, flags),
      ...(flags.rule === undefined ? {} : { rules: flags.rule }),
      ...(flags.appRole === undefined ? {} : { appRoles: flags.appRole }),
      ...(flags.tenantColumn === undefined ? {} : { tenantColumn: flags.tenantColumn }),
      ...(baseline === undefined ? {} : { baseline }),
      ...(io.signal === undefined ? {} : { signal: io.signal }),
    })
    if (flags.sarif !== undefined) {
      const text = `${JSON.stringify(sarifOf(diagnosis), null, 2)}\n`
      await writeOutputFiles([{ flag: '--sarif', path: flags.sarif, text }])
    }
    const fixes = flags.fix === undefined ? undefined : await writeFixes(flags.fix, diagnosis.findings)
    if (flags.accept !== undefined) return acceptAll(io, flags, file, baseline?.entries ?? [], diagnosis)
    if (flags.json)
      printJson(io, { ...diagnosis, ...(fixes === undefined ? {} : { fixes: fixes.map(({ file }) => file) }) })
    else print(io, diagnosis, fixes)
    return diagnosis.clean ? undefined : FINDINGS
  }),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      fix: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'file',
        brief: 'Write the SQL that mends what was found to a migration file, and show it',
      },
      sarif: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'file',
        brief: 'Write the findings as SARIF 2.1.0',
      },
      baseline: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'file',
        brief: `Findings accepted for a time [default = ${DEFAULT_BASELINE}, where there is one]`,
      },
      accept: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'reason',
        brief: 'Accept what was found: add it to the baseline, with this reason',
      },
      until: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'date',
        brief: 'Last day of that acceptance, YYYY-MM-DD, at most a year ahead',
      },
      rule: {
        kind: 'parsed',
        parse: String,
        optional: true,
        variadic: true,
        placeholder: 'id',
        brief: 'Ask this rule only, e.g. L01; may be repeated',
      },
      appRole: {
        kind: 'parsed',
        parse: String,
        optional: true,
        variadic: true,
        placeholder: 'role',
        brief: 'Login of the application, where it is not rowhouse_app; may be repeated',
      },
      tenantColumn: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'name',
        brief: 'Column that names the tenant, where it is none of the usual ones',
      },
    },
  },
  docs: {
    brief: 'Examine a database: what could let one tenant reach another',
    fullDescription: [
      'Asks the catalog, changes nothing, and works on any PostgreSQL from 15 on: where Rowhouse is not installed it says which',
      'tables look tenant-owned and what each gap is. Reads ROWHOUSE_ADMIN_URL. Exit code 1: an error that nobody accepted, or a',
      'rule that could not ask. Each rule has a page in docs/rules.',
    ].join('\n'),
  },
})

async function readBaseline(file: string, wanted: boolean) {
  const text = await readFile(file, 'utf8').catch((error: Error & { code?: string }) => {
    if (error.code === 'ENOENT' && !wanted) return undefined
    throw new ConfigError('ERR_CONFIG_INVALID', `Cannot read the baseline "${file}": ${error.message}`, {
      cause: error,
    })
  })
  return text === undefined ? undefined : parseBaseline(text, file)
}

async function acceptAll(
  io: Io,
  flags: Flags,
  file: string,
  known: readonly object[],
  { findings }: Diagnosis,
): Promise<undefined> {
  if (flags.until === undefined)
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot accept findings for ever: add --until with a day, at most a year ahead',
    )
  const { entries } = newBaseline(findings, flags.accept ?? '', flags.until)
  const text = `${JSON.stringify({ entries: [...known, ...entries] }, null, 2)}\n`
  await writeOutputFiles([{ flag: '--baseline', path: file, text }])
  if (flags.json) printJson(io, { accepted: entries.length, baseline: file })
  else io.stderr.write(`${entries.length} findings accepted until ${flags.until}, in ${file}\n`)
  return undefined
}

interface WrittenFix {
  readonly file: string
  readonly sql: string
}

/** Indexes built while others write need a file of their own: they cannot be part of a transaction. */
async function writeFixes(file: string, findings: readonly Finding[]): Promise<WrittenFix[]> {
  const { transactional, concurrent } = writeFixMigration(findings)
  const fixes: WrittenFix[] = []
  if (transactional !== undefined) fixes.push({ file, sql: transactional })
  if (concurrent !== undefined) fixes.push({ file: file.replace(/(\.sql)?$/, '.concurrent.sql'), sql: concurrent })
  await writeOutputFiles(fixes.map(({ file: path, sql: text }) => ({ flag: '--fix', path, text })))
  return fixes
}

function sarifOf({ findings }: Diagnosis) {
  return toSarif({ tool: { name: 'rowhouse doctor', version: readVersion() }, rules: ALL_RULES, results: findings })
}

const MARKS = { error: '✗', warning: '!', note: 'i' } as const

function print(io: Io, diagnosis: Diagnosis, fixes: readonly WrittenFix[] | undefined): void {
  const titles = new Map<string, string>(ALL_RULES.map(({ id, title }) => [id, title]))
  let rule = ''
  for (const finding of diagnosis.findings) {
    if (finding.rule !== rule)
      io.stdout.write(`\n${MARKS[finding.severity]} ${finding.rule} ${titles.get(finding.rule) ?? ''}\n`)
    rule = finding.rule
    io.stdout.write(
      `    ${finding.message}\n${finding.mend === undefined ? '' : `      ${finding.mend.replaceAll('\n', '\n      ')}\n`}`,
    )
  }
  for (const { file, sql } of fixes ?? []) io.stdout.write(`\n── ${file}\n${sql}`)
  for (const { rule: id, error } of diagnosis.failed) io.stderr.write(`${id} could not ask: ${error}\n`)
  for (const { rule: id, object } of diagnosis.expired)
    io.stderr.write(`accepted no longer, its time is over: ${id} on ${object}\n`)
  for (const { rule: id, object } of diagnosis.stale)
    io.stderr.write(`take this out of the baseline, it matches nothing: ${id} on ${object}\n`)
  io.stderr.write(`\n${summary(diagnosis)}\n`)
}

function summary({
  findings,
  accepted,
  failed,
  tenantTables,
  installed,
  database,
  elapsedMs,
  clean,
}: Diagnosis): string {
  const count = (severity: Finding['severity']) => findings.filter((finding) => finding.severity === severity).length
  const where =
    installed === undefined ? `${database} (Rowhouse is not installed there: this is an assessment)` : database
  return [
    `${clean ? 'No errors' : `${count('error')} errors`}, ${count('warning')} warnings, ${count('note')} notes in ${where}`,
    `${tenantTables} tables of tenants, ${accepted.length} findings accepted, ${failed.length} rules could not ask, ${Math.round(elapsedMs)} ms`,
  ].join('\n')
}
