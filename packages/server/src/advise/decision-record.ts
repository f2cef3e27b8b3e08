import type { Advice, TradeOff } from './advise.ts'
import { gigabytes } from './capacity.ts'
import type { Facts } from './facts.ts'
import type { ClassAdvice } from './tenant-classes.ts'

export interface DecisionRecordOptions {
  /** Number of the record, e.g. 12 for `0012`. @defaultValue 1 */
  readonly number?: number
  /** Day of the decision, YYYY-MM-DD. @defaultValue today */
  readonly date?: string
  /** Sentences about what was estimated, as `readFacts` returns them. */
  readonly estimated?: readonly string[]
}

/**
 * Writes advice as a decision record in Markdown: what was decided, from which facts, at what cost, and what would change it.
 *
 * Names no tenant. The rules in it are those of `advice.rules`, as JSON, ready for `rowhouse` to load.
 *
 * @throws {RangeError} when number or date cannot name a record
 * @example
 * ```ts
 * import { advise, factsFromAnswers, writeDecisionRecord } from 'rowhouse-server'
 * const text = writeDecisionRecord(advise(factsFromAnswers({ tenants: '400' })), { number: 3, date: '2026-11-21' })
 * console.assert(text.startsWith('# 0003: Where tenants live'))
 * ```
 */
export function writeDecisionRecord(advice: Advice, options: DecisionRecordOptions = {}): string {
  const { number = 1, date = new Date().toISOString().slice(0, 10), estimated = [] } = options
  if (!Number.isInteger(number) || number < 1 || number > 9999)
    throw new RangeError(`Cannot number a decision record ${number}; wanted 1 to 9999`)
  if (!/^\d{4}-\d{2}-\d{2}$/.test(date))
    throw new RangeError(`Cannot date a decision record "${date}"; wanted YYYY-MM-DD`)
  const sections = [
    `# ${String(number).padStart(4, '0')}: Where tenants live`,
    `**Decision** (${date}). ${decisionOf(advice)}`,
    classTable(advice.classes),
    '**Why.**',
    advice.classes.map(reasonsOf).join('\n'),
    '**What each model would cost for all tenants,** without a row of theirs.',
    costTable(advice),
    citation(advice),
    advice.tradeOffs.map(({ model, gives, costs }) => `- **${model}**: ${gives}. Against it: ${costs}.`).join('\n'),
    `**Limits of one server.** ${limitsOf(advice)}`,
    `**Servers.** ${serversOf(advice)}`,
    '**Rules.** For `placement.json`:',
    `\`\`\`json\n${JSON.stringify(advice.rules, undefined, 2)}\n\`\`\``,
    '**Risks.**',
    list(advice.risks),
    '**What would change this.**',
    list(advice.wouldChange),
    '**Facts.**',
    factTable(advice.facts),
    ...(estimated.length > 0 ? ['**Estimated.**', list(estimated)] : []),
  ]
  return `${sections.join('\n\n')}\n`
}

function decisionOf({ classes, rules }: Advice): string {
  const parts = classes.map(({ name, tenants, model }) => `${name} (${tenants}) in model \`${model}\``)
  return `${parts.join('; ')}. Whoever no rule matches goes to \`${rules.default.model}\`.`
}

function classTable(classes: readonly ClassAdvice[]): string {
  const rows = classes.map(({ name, tenants, model, servers, rule }) => [
    name,
    tenants,
    model,
    servers,
    rule?.require ? 'yes' : 'no',
  ])
  return table(['Class', 'Tenants', 'Model', 'Servers', 'Binds operators'], rows)
}

function reasonsOf({ name, model, because }: ClassAdvice): string {
  const reasons = because.map(({ fact, value, says }) => `  - \`${fact}\` = ${value}: ${says}`)
  return [`- **${name}** → \`${model}\``, ...reasons].join('\n')
}

function costTable({ tradeOffs }: Advice): string {
  const head = [
    'Model',
    'Disk per tenant',
    'Files per tenant',
    'Catalog rows per tenant',
    'Buffers per tenant',
    'Disk, all',
    'Files, all',
    'Memory per connection',
    'One column, all',
    'Connections',
  ]
  const row = ({ model, perTenant, ...all }: TradeOff) => [
    model,
    bytes(perTenant.diskBytes),
    perTenant.files,
    perTenant.catalogRows,
    bytes(perTenant.bufferBytes),
    bytes(all.diskBytes),
    all.files,
    bytes(all.memoryBytesPerConnection),
    duration(all.migrateMs),
    all.connections,
  ]
  return table(head, tradeOffs.map(row))
}

function citation({ costs, facts }: Advice): string {
  const { date, machine, postgres, shape } = costs
  return `Measured ${date} on PostgreSQL ${postgres}, ${machine.cores} × ${machine.cpu}, ${gigabytes(machine.memoryBytes)}, Node ${machine.node}: ${shape.tenants} tenants × ${shape.tables} tables with ${shape.indexesPerTable} indexes and ${shape.policiesPerTable} policies each; fitted here to ${facts.tenantTables} tables and ${facts.tenantIndexes} indexes.`
}

function limitsOf({ capacity, costs }: Advice): string {
  const furthest = Math.max(...costs.backend.growth.map(({ relations }) => relations))
  const beyond = capacity.relations > furthest ? `, measured up to ${furthest} and extended in a straight line` : ''
  return `${capacity.relations} tables and indexes of tenants, so ${capacity.schemas} schemas (${capacity.relationsWhy}${beyond}); ${capacity.databases} databases (${capacity.databasesWhy}).`
}

function serversOf({ servers }: Advice): string {
  return `${servers.map(({ region, servers, why }) => `${region || 'Any region'}: ${servers} at least, ${why}`).join('; ')}.`
}

function factTable(facts: Facts): string {
  return table(
    ['Fact', 'Value'],
    Object.entries(facts).map(([name, value]) => [`\`${name}\``, factValue(value)]),
  )
}

function factValue(value: unknown): string {
  if (Array.isArray(value)) return value.map((each) => Object.values(each).join(': ')).join(', ') || 'none'
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([name, figure]) => `${name} ${figure}`)
      .join(', ')
  return String(value)
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) =>
    `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function list(lines: readonly string[]): string {
  return lines.length > 0 ? lines.map((line) => `- ${line}`).join('\n') : '- None found.'
}

function bytes(value: number): string {
  const [unit, size] =
    value >= 1024 ** 3 ? ['GB', 1024 ** 3] : value >= 1024 ** 2 ? ['MB', 1024 ** 2] : (['kB', 1024] as const)
  return `${Number((value / (size as number)).toPrecision(3))} ${unit}`
}

function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  return ms < 120_000 ? `${(ms / 1_000).toFixed(1)} s` : `${(ms / 60_000).toFixed(1)} min`
}
