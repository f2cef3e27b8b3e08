import { buildCommand } from '@stricli/core'
import type { PlacementExplanation, TenantToPlace } from 'rowhouse-server'
import { asTyped, type Context, command, type Io } from '../command.ts'
import { type ConfigFlags, configFlags, loadServer, readConfig, withRegistry } from '../control-plane.ts'
import { exitCodeOf } from '../exit-code.ts'
import { printJson } from '../print.ts'
import { type PlacingFlags, placingFlags, wishOf } from '../tenant-flags.ts'
import { toned } from '../terminal.ts'

interface Flags extends ConfigFlags, PlacingFlags {}

export const explainPlacementCommand = buildCommand<Flags, [string], Context>({
  func: command<Flags, [string]>(async (io, flags, slug) => {
    const { rules = { rules: [], default: { model: 'pooled' } } } = await readConfig(io, flags)
    const { compilePlacementRules, explainPlacement } = await loadServer()
    const compiled = compilePlacementRules(rules)
    const servers = await withRegistry(io, flags, (registry) => registry.servers.list())
    const request = { tenant: toPlace(slug, flags), operator: wishOf(flags) }
    const explanation = await asTyped(async () => explainPlacement(compiled, request, servers))
    if (flags.json) {
      const { refusal, ...rest } = explanation
      printJson(io, {
        ...rest,
        refusal: refusal === undefined ? null : { code: refusal.code, message: refusal.message },
      })
    } else print(io, explanation)
    return explanation.refusal === undefined ? undefined : exitCodeOf(explanation.refusal)
  }),
  parameters: {
    flags: { ...configFlags, ...placingFlags },
    positional: {
      kind: 'tuple',
      parameters: [{ parse: String, brief: 'Short name, for rules that ask for it', placeholder: 'slug' }],
    },
  },
  docs: {
    brief: 'Say where a tenant would go, and why, rule by rule and server by server',
    fullDescription:
      'Makes nothing. Takes the same facts as "tenant provision". Ends as that command would when there is no place.',
  },
})

function toPlace(slug: string, flags: Flags): TenantToPlace {
  const { plan = 'standard', region = '', compliance = [], expectedRows = 0, label = [] } = flags
  return { slug, plan, region, compliance, expectedRows, labels: Object.fromEntries(label) }
}

const MARKS = { chosen: '✓', binding: '✓', 'passed over': '·', 'not matched': '·', failed: '✗' } as const

function print(io: Io, { rules, servers, choice, refusal }: PlacementExplanation): void {
  const out = (text: string) => io.stdout.write(`${text}\n`)
  const heading = (text: string) => out(toned(io, io.stdout, 'dim', text))
  const mark = (letter: string) =>
    toned(io, io.stdout, letter === '✓' ? 'good' : letter === '✗' ? 'bad' : 'dim', letter)
  const width = Math.max(0, ...[...rules.map(({ rule }) => rule), ...servers.map(({ server }) => server)].map(lengthOf))
  if (rules.length > 0) heading('rules')
  for (const { rule, when, outcome, why } of rules)
    out(`  ${mark(MARKS[outcome])} ${rule.padEnd(width)}  ${outcome}: ${why}  ${toned(io, io.stdout, 'dim', when)}`)
  if (servers.length > 0) heading('servers')
  for (const { server, fits, why } of servers) out(`  ${mark(fits ? '✓' : '✗')} ${server.padEnd(width)}  ${why}`)
  if (choice !== undefined) {
    out(`\n${toned(io, io.stdout, 'bold', `${choice.model} on ${choice.server}`)}`)
    heading(choice.why)
  }
  if (refusal !== undefined) io.stderr.write(`\n${refusal.code}: ${refusal.message}\n`)
}

function lengthOf({ length }: string): number {
  return length
}
