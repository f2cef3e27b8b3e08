import { buildCommand } from '@stricli/core'
import { ConfigError } from 'rowhouse'
import {
  ALL_RULES,
  attackLines,
  attackStage,
  diagnose,
  type LiveReport,
  type MutationReport,
  mutate,
  setStage,
  type VerifyModel,
  type VerifyReport,
  verifyLive,
  verifyModel,
  verifyToJunit,
  verifyToSarif,
  writeAudit,
} from 'rowhouse-proof'
import { type AdminFlags, adminUrlFileFlag, type Context, command, type Io, jsonFlag } from '../command.ts'
import { type ExampleDatabase, openExample } from '../example.ts'
import { FINDINGS } from '../exit-code.ts'
import { type OutputFile, writeOutputFiles } from '../output-file.ts'
import { printJson } from '../print.ts'
import { progressLine } from '../progress.ts'
import { adminSettings, appSettings } from '../settings.ts'
import { readVersion } from '../version.ts'

const MODELS = ['pooled', 'schema', 'database', 'all'] as const

interface Flags extends AdminFlags {
  readonly example?: 'freight'
  readonly model: (typeof MODELS)[number]
  readonly mutations: boolean
  readonly liveReadonly: boolean
  readonly junit?: string
  readonly sarif?: string
  readonly report?: string
}

export const verifyCommand = buildCommand<Flags, [], Context>({
  func: command<Flags, []>(async (io, flags) => {
    const example = flags.example === undefined ? undefined : await openExample(io.signal)
    try {
      if (flags.liveReadonly) return await verifyLiveData(io, flags)
      return await verifySchema(io, flags, requireUrls(io, flags, example))
    } finally {
      await example?.stop()
    }
  }),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      example: {
        kind: 'enum',
        values: ['freight'],
        optional: true,
        brief: 'Verify an example of the repository, on a PostgreSQL started for it',
      },
      model: {
        kind: 'enum',
        values: MODELS,
        default: 'pooled',
        brief: 'How the two tenants live; all: each of the three, and each beside each other',
      },
      mutations: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Also tear holes into the copy, one at a time, and ask who notices',
      },
      liveReadonly: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Only read, on the live data of a few tenants; needs ROWHOUSE_ROOT_KEY',
      },
      junit: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'file',
        brief: 'Write the result as JUnit XML',
      },
      sarif: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'file',
        brief: 'Write what leaked as SARIF 2.1.0',
      },
      report: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'file',
        brief: 'Write an audit as Markdown: attacks, findings of the doctor, what stays open',
      },
    },
  },
  docs: {
    brief: 'Attack a copy of the schema as one tenant, and say what was refused',
    fullDescription: [
      'Makes scratch databases on the same server, with your schema, two tenants whose ids collide, and no data of yours. Runs every',
      'attack of the catalogue on every table, key, view and function there is, and again on copies weakened on purpose, where it',
      'has to succeed. Reads ROWHOUSE_ADMIN_URL (a superuser, best of a server for tests) and DATABASE_URL (the application). The copies are',
      'removed at the end. Exit code 1: something leaked, or an attack proves nothing because its control did not succeed.',
    ].join('\n'),
  },
})

interface Urls {
  readonly adminUrl: string
  readonly appUrl: string
}

function requireUrls(io: Io, flags: Flags, example: ExampleDatabase | undefined): Urls {
  if (example !== undefined) return example
  const adminUrl = adminSettings(io.env, flags).url
  const appUrl = appSettings(io.env).url
  if (adminUrl === undefined || adminUrl === '')
    throw new ConfigError(
      'ERR_ADMIN_REQUIRED',
      'Cannot verify without an operator login: set ROWHOUSE_ADMIN_URL to a superuser of a server for tests',
    )
  if (appUrl === undefined || appUrl === '')
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot verify without the application login: set DATABASE_URL to the one the application uses',
    )
  return { adminUrl, appUrl }
}

async function verifySchema(io: Io, flags: Flags, urls: Urls): Promise<number | undefined> {
  const onProgress = progressLine(io, flags.json)
  const signal = io.signal === undefined ? {} : { signal: io.signal }
  const pooled = flags.model === 'pooled' || flags.model === 'all' ? await verifyPooled(io, flags, urls) : undefined
  const reports = pooled === undefined ? [] : [pooled.report]
  for (const model of OTHERS[flags.model]) {
    const named: typeof onProgress = (done, total, what) => onProgress(done, total, `${model}: ${what}`)
    const report = await verifyModel({ ...urls, ...signal, onProgress: named }, model)
    reports.push(report)
    if (!flags.json) print(io, report)
  }
  // Minutes of work are not lost to a path that cannot be written.
  if (flags.json) printJson(io, jsonOf(reports, pooled?.mutations))
  else printMutations(io, pooled?.mutations)
  if (!flags.json && reports.length > 1) printModels(io, reports)
  await writeOutputFiles(resultFiles(flags, joined(reports)))
  if (flags.report !== undefined) {
    const diagnosis = await diagnose({ url: urls.adminUrl, ...signal })
    const mutations = pooled?.mutations
    const audit = { report: joined(reports), diagnosis, version: readVersion(), ...(mutations ? { mutations } : {}) }
    await writeOutputFiles([{ flag: '--report', path: flags.report, text: writeAudit(audit) }])
  }
  const survivors = pooled?.mutations?.survivors.length ?? 0
  return reports.every(({ isolated }) => isolated) && survivors === 0 ? undefined : FINDINGS
}

/** What follows the shared tables, which the mutations are torn into as well. */
const OTHERS: Readonly<Record<Flags['model'], readonly VerifyModel[]>> = {
  pooled: [],
  schema: ['schema'],
  database: ['database'],
  all: ['schema', 'database', 'hybrid'],
}

async function verifyPooled(
  io: Io,
  flags: Flags,
  urls: Urls,
): Promise<{ readonly report: VerifyReport; readonly mutations: MutationReport | undefined }> {
  const onProgress = progressLine(io, flags.json)
  const signal = io.signal === undefined ? {} : { signal: io.signal }
  const stage = await setStage(urls)
  try {
    const report = await attackStage(stage, { onProgress, ...signal })
    if (!flags.json) print(io, report)
    const appRole = decodeURIComponent(new URL(urls.appUrl).username)
    const mutations = flags.mutations
      ? await mutate(stage, {
          rules: ALL_RULES,
          appRole,
          onProgress: (done, total) => onProgress(done, total, 'mutations'),
          ...signal,
        })
      : undefined
    return { report, mutations }
  } finally {
    await stage.close()
  }
}

/** One report of all models, for files that hold one: each cell says how the tenants lived. */
function joined(reports: readonly VerifyReport[]): VerifyReport {
  const [first] = reports
  if (first === undefined) throw new Error('Cannot write no report')
  if (reports.length === 1) return first
  const sum = (of: (report: VerifyReport) => number) => reports.reduce((total, report) => total + of(report), 0)
  return {
    ...first,
    cells: reports.flatMap(({ model, cells }) =>
      cells.map((cell) => ({ ...cell, target: `${model}: ${cell.target}` })),
    ),
    leaked: sum(({ leaked }) => leaked),
    refused: sum(({ refused }) => refused),
    notApplicable: sum(({ notApplicable }) => notApplicable),
    void: sum((report) => report.void),
    controls: { fired: sum(({ controls }) => controls.fired), total: sum(({ controls }) => controls.total) },
    isolated: reports.every(({ isolated }) => isolated),
    elapsedMs: sum(({ elapsedMs }) => elapsedMs),
  }
}

function resultFiles({ junit, sarif }: Flags, report: VerifyReport): OutputFile[] {
  const files: OutputFile[] = []
  if (junit !== undefined) files.push({ flag: '--junit', path: junit, text: verifyToJunit(report) })
  if (sarif !== undefined) {
    const log = verifyToSarif(report, readVersion())
    files.push({ flag: '--sarif', path: sarif, text: `${JSON.stringify(log, null, 2)}\n` })
  }
  return files
}

/** As ever where one model is asked for; several stand side by side under `models`. */
function jsonOf(reports: readonly VerifyReport[], mutations: MutationReport | undefined) {
  const told = reports.map(({ cells, ...report }) => ({
    ...report,
    findings: cells.filter(({ verdict }) => verdict === 'leaked' || verdict === 'void'),
    attacks: attackLines({ cells, ...report }),
  }))
  const more = mutations === undefined ? {} : { mutations }
  if (told.length === 1) return { ...told[0], ...more }
  return { models: told, isolated: reports.every(({ isolated }) => isolated), ...more }
}

const LIVING: Readonly<Record<VerifyModel, string>> = {
  pooled: 'tenants in shared tables (pooled)',
  schema: 'tenants in a schema each (schema)',
  database: 'tenants in a database each (database)',
  hybrid: 'each model against each other (hybrid)',
}

function printModels(io: Io, reports: readonly VerifyReport[]): void {
  io.stdout.write('\nmodel       refused   leaked     void      n/a  seconds\n')
  for (const { model, refused, leaked, void: voided, notApplicable, elapsedMs } of reports) {
    const numbers = [refused, leaked, voided, notApplicable].map((value) => String(value).padStart(9)).join('')
    io.stdout.write(`${model.padEnd(10)}${numbers}  ${(elapsedMs / 1000).toFixed(1)}\n`)
  }
}

function print(io: Io, report: VerifyReport): void {
  const number = (value: number) => String(value || '·').padStart(9)
  io.stdout.write(`${LIVING[report.model]}\n\n`)
  io.stdout.write(`attack     refused   leaked     void      n/a  what is tried\n`)
  for (const { attack, title, refused, leaked, void: voided, notApplicable } of attackLines(report))
    io.stdout.write(
      `${attack.padEnd(9)}${number(refused)}${number(leaked)}${number(voided)}${number(notApplicable)}  ${title}\n`,
    )
  const shown = report.cells.filter(({ verdict }) => verdict === 'leaked' || verdict === 'void')
  for (const { attack, verb, target, verdict, how } of shown.slice(0, SHOWN))
    io.stdout.write(`\n${verdict.toUpperCase()} ${attack} ${verb} ${target}\n    ${how}\n`)
  if (shown.length > SHOWN) io.stdout.write(`\n… and ${shown.length - SHOWN} more: --junit writes them all\n`)
  for (const [reason, count] of reasonsOf(report)) io.stderr.write(`not applicable, ${count} times: ${reason}\n`)
  for (const { object, reason } of report.uncloned) io.stderr.write(`not attacked: ${object}: ${reason}\n`)
  for (const { table, reason } of report.empty) io.stderr.write(`not attacked: ${table} has no rows: ${reason}\n`)
  io.stderr.write(
    `\nOpen to everybody who is connected, in any PostgreSQL: ${report.residuals.map(({ title }) => title.toLowerCase()).join(', ')}. SECURITY.md says what to do about each.\n`,
  )
  io.stderr.write(
    `\n${report.leaked} leaked, ${report.refused} refused, ${report.void} void, ${report.notApplicable} not applicable; ${report.controls.fired} of ${report.controls.total} controls fired; ${(report.elapsedMs / 1000).toFixed(1)} s\n`,
  )
}

function reasonsOf({ cells }: VerifyReport): Map<string, number> {
  const reasons = new Map<string, number>()
  for (const { verdict, how } of cells) if (verdict === 'not-applicable') reasons.set(how, (reasons.get(how) ?? 0) + 1)
  return reasons
}

/** Leaks that are printed; a schema without walls has thousands. */
const SHOWN = 20

function printMutations(io: Io, mutations: MutationReport | undefined): void {
  if (mutations === undefined) return
  const { killed, total, byDoctor, byVerify, survivors, impossible, elapsedMs } = mutations
  for (const { kind, target, sql } of survivors.slice(0, SHOWN))
    io.stdout.write(`\nSURVIVED ${kind} on ${target}\n    ${sql}\n`)
  io.stderr.write(
    `\nmutations: ${killed} of ${total} noticed (${byDoctor} by doctor, ${byVerify} by an attack), ${impossible.length} impossible here; ${(elapsedMs / 1000).toFixed(1)} s\n`,
  )
}

async function verifyLiveData(io: Io, flags: Flags): Promise<number | undefined> {
  if (flags.example !== undefined || flags.mutations)
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot combine --live-readonly with --example or --mutations: those change what they try',
    )
  const report = await verifyLive({ ...requireUrls(io, flags, undefined), rootKey: appSettings(io.env).rootKey })
  if (flags.json) printJson(io, report)
  else printLive(io, report)
  return report.isolated ? undefined : FINDINGS
}

function printLive(io: Io, { cells, leaked, refused, notApplicable }: LiveReport): void {
  for (const { table, attacker, victim, how } of cells.filter(({ verdict }) => verdict === 'leaked'))
    io.stdout.write(`LEAKED ${table}: ${attacker} reads ${victim}: ${how}\n`)
  io.stderr.write(
    `${leaked} leaked, ${refused} refused, ${notApplicable} not applicable, on live data and only by reading\n`,
  )
}
