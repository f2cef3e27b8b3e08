import { readFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { buildCommand } from '@stricli/core'
import { ConfigError } from 'rowhouse'
import type { Advice, Answers, FactsFromDatabase } from 'rowhouse-server'
import { askQuestions } from '../ask.ts'
import { type AdminFlags, adminUrlFileFlag, type Context, command, type Io, jsonFlag } from '../command.ts'
import { loadServer } from '../control-plane.ts'
import { UsageError } from '../exit-code.ts'
import { writeNewFile } from '../output-file.ts'
import { printJson, printRows } from '../print.ts'
import { adminSettings } from '../settings.ts'
import { countText, toned } from '../terminal.ts'

interface Flags extends AdminFlags {
  readonly read: boolean
  readonly tenantColumn?: string
  readonly answers?: string
  readonly answer?: readonly (readonly [string, string])[]
  readonly out?: string
  readonly force: boolean
}

export const adviseCommand = buildCommand<Flags, [], Context>({
  func: command<Flags, []>(async (io, flags) => {
    const { advise, factsFromAnswers, writeDecisionRecord } = await loadServer()
    const given = await readAnswers(io, flags)
    const read = flags.read ? await readDatabase(io, flags) : undefined
    const asked = await askRest(io, flags, given, read)
    const advice = advise(factsFromAnswers({ ...given, ...asked }, read?.facts))
    const { out, force } = flags
    if (out !== undefined) {
      const record = { ...numberOf(out), ...(read !== undefined && { estimated: read.estimated }) }
      const path = resolve(io.cwd ?? process.cwd(), out)
      await writeNewFile({ flag: '--out', path, text: writeDecisionRecord(advice, record) }, force)
    }
    if (flags.json) printJson(io, { ...advice, estimated: read?.estimated ?? [], record: out ?? null })
    else print(io, advice, read, out)
  }),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      read: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Read what can be read from the database of ROWHOUSE_ADMIN_URL, and change nothing there',
      },
      tenantColumn: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'Column that names the tenant, for --read [default = tenant_id]',
        placeholder: 'name',
      },
      answers: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'JSON file with answers by name of the fact',
        placeholder: 'file',
      },
      answer: {
        kind: 'parsed',
        parse: parsePair,
        optional: true,
        variadic: true,
        brief: 'One answer, e.g. tenants=400 or compliance=hipaa=3,gdpr=200; may be repeated, goes before the file',
        placeholder: 'fact=value',
      },
      out: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'Write the decision record, e.g. docs/decisions/0007-where-tenants-live.md',
        placeholder: 'file',
      },
      force: { kind: 'boolean', default: false, withNegated: false, brief: 'Overwrite the file of --out' },
    },
  },
  docs: {
    brief: 'Choose where tenants live: pooled, schema or database, per class of tenants',
    fullDescription: [
      'On a terminal it asks; an empty answer takes what stands in brackets. With --answers or --answer it does not ask, and takes what',
      'nobody answered from the database (--read), then from the default. Prints what to do, why, and what would change it.',
    ].join('\n'),
  },
})

function parsePair(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new RangeError('wanted fact=value, e.g. tenants=400')
  return [text.slice(0, at), text.slice(at + 1)]
}

async function readAnswers(io: Io, { answers: file, answer = [] }: Flags): Promise<Answers> {
  const fromFile = file === undefined ? {} : await readAnswersFile(resolve(io.cwd ?? process.cwd(), file))
  return { ...fromFile, ...Object.fromEntries(answer) }
}

/** Answers are text, as on a terminal; numbers and booleans of JSON are taken as well. */
async function readAnswersFile(file: string): Promise<Record<string, string>> {
  const refuse = (fault: string, cause?: unknown) =>
    new ConfigError('ERR_CONFIG_INVALID', `Cannot read the answers "${file}": ${fault}`, { cause })
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    throw refuse(cause.message, cause)
  })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw refuse(`the text is no JSON, ${(cause as Error).message}`, cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse('wanted an object, e.g. { "tenants": "400", "compliance": "hipaa=3" }')
  const entries = Object.entries(value).map(([field, answer]): [string, string] => {
    if (typeof answer === 'string' || typeof answer === 'number') return [field, String(answer)]
    if (typeof answer === 'boolean') return [field, answer ? 'yes' : 'no']
    throw refuse(`"${field}" is neither text, number nor boolean; wanted the answer as it would be typed`)
  })
  return Object.fromEntries(entries)
}

async function readDatabase(io: Io, flags: Flags): Promise<FactsFromDatabase> {
  const { url } = adminSettings(io.env, flags)
  if (!url)
    throw new ConfigError(
      'ERR_ADMIN_REQUIRED',
      'Cannot read facts from a database: set ROWHOUSE_ADMIN_URL to a login that sees the rows of all tenants',
    )
  const { readFacts } = await loadServer()
  const { tenantColumn } = flags
  return readFacts(url, tenantColumn === undefined ? {} : { tenantColumn })
}

/** Asks on a terminal what neither a flag nor a file has answered; elsewhere somebody has to have said something. */
async function askRest(io: Io, flags: Flags, given: Answers, read: FactsFromDatabase | undefined): Promise<Answers> {
  const isSaid = flags.answers !== undefined || flags.answer !== undefined
  if (isSaid || flags.json) {
    if (isSaid || flags.read) return {}
  } else if (io.stdin?.isTTY === true && io.stderr.isTTY === true) return askQuestions(io, given, read?.facts ?? {})
  else if (flags.read) return {}
  throw new UsageError(
    'Cannot advise without facts: run this on a terminal, which asks, or give --read, --answers or --answer',
  )
}

/** Takes the number of a record from its name: `docs/decisions/0007-where.md` is number 7. */
function numberOf(out: string): { number?: number } {
  const number = Number(/^(\d{4})-/.exec(basename(out))?.[1] ?? 0)
  return number > 0 ? { number } : {}
}

function print(io: Io, advice: Advice, read: FactsFromDatabase | undefined, out: string | undefined): void {
  const { stdout } = io
  const heading = (text: string) => stdout.write(`\n${toned(io, stdout, 'dim', text)}\n`)
  const rows = advice.classes.map(({ name, tenants, model, servers }) => ({ class: name, tenants, model, servers }))
  printRows(io, rows, ['class', 'tenants', 'model', 'servers'])
  heading('why')
  for (const { name, because } of advice.classes)
    for (const { fact, value, says } of because) stdout.write(`  ${name}: ${fact} is ${value}, ${says}\n`)
  heading('servers')
  for (const { region, servers, why } of advice.servers)
    stdout.write(`  ${region === '' ? 'any region' : region}: ${countText(servers)} at least, ${why}\n`)
  printList(io, 'risks', advice.risks)
  printList(io, 'what would change this', advice.wouldChange)
  printList(io, 'estimated', read?.estimated ?? [])
  io.stderr.write(
    out === undefined
      ? '\nWrite it down with --out docs/decisions/NNNN-where-tenants-live.md\n'
      : `\nWritten to ${out}\n`,
  )
}

function printList(io: Io, title: string, lines: readonly string[]): void {
  if (lines.length === 0) return
  io.stdout.write(`\n${toned(io, io.stdout, 'dim', title)}\n`)
  for (const line of lines) io.stdout.write(`  ${line}\n`)
}
