import { ConfigError } from 'rowhouse'
import { COMPLIANCE, CUSTOMISATIONS, type Facts, RESTORE_NEEDS, requireFacts } from './facts.ts'

/** A question of `rowhouse advise`, as data: a terminal, a form or a file can ask it. */
export interface Question {
  readonly field: keyof Facts
  readonly ask: string
  readonly help: string
  /**
   * How the answer is written: `count` as 1000 or 1_000, `size` as 16GB, `spread` as median/99th percentile/largest,
   * `named-counts` as name=3, name=5 or none, `choice` as one of `choices`, `yes-no`.
   */
  readonly kind: 'count' | 'size' | 'spread' | 'named-counts' | 'choice' | 'yes-no'
  readonly choices?: readonly string[]
  /** Taken where nobody answers and nothing was read; written as an answer. */
  readonly fallback: string
  /** True when `readFacts` finds it out. */
  readonly readable: boolean
  /** Asked only when the answer to another question is one of these. */
  readonly onlyIf?: { readonly field: keyof Facts; readonly oneOf: readonly string[] }
}

/** In the order in which they are asked. */
export const QUESTIONS: readonly Question[] = [
  question('tenants', 'count', 'How many tenants do you expect?', 'In two years, trials included', '100', true),
  question('tenantTables', 'count', 'How many tables have rows of tenants?', 'Not those all tenants read', '30', true),
  question('tenantIndexes', 'count', 'How many indexes do they have together?', 'Primary keys count', '60', true),
  question(
    'rowsPerTenant',
    'spread',
    'How many rows has a tenant?',
    'Median / 99th percentile / largest',
    '10000/500000/2000000',
    true,
  ),
  question(
    'bytesPerTenant',
    'spread',
    'How many bytes has a tenant?',
    'Median / 99th percentile / largest, indexes included',
    '5000000/250000000/1000000000',
    true,
  ),
  question('largeTenants', 'count', 'How many have 10 million rows or more?', 'Also those you hope to win', '0', true),
  {
    ...question(
      'compliance',
      'named-counts',
      'Which tenants are under which profile?',
      'E.g. hipaa=3, gdpr=200, or none',
      'none',
      false,
    ),
    choices: Object.keys(COMPLIANCE),
  },
  question(
    'residency',
    'named-counts',
    'Which regions may data of how many tenants not leave?',
    'E.g. eu=120, us=80, or none',
    'none',
    false,
  ),
  {
    ...question(
      'restore',
      'choice',
      'How often is one tenant alone put back to an earlier state?',
      'Not the whole system',
      'rarely',
      false,
    ),
    choices: RESTORE_NEEDS,
  },
  {
    ...question('restoreTenants', 'count', 'How many tenants need that?', 'Those with a contract on it', '0', false),
    onlyIf: { field: 'restore', oneOf: ['daily', 'hourly'] },
  },
  {
    ...question(
      'customisation',
      'choice',
      'How far do tenants differ?',
      'In settings and custom fields, or in tables of their own',
      'settings',
      false,
    ),
    choices: CUSTOMISATIONS,
  },
  {
    ...question(
      'customisedTenants',
      'count',
      'How many have tables of their own?',
      'Tables nobody else has',
      '0',
      false,
    ),
    onlyIf: { field: 'customisation', oneOf: ['tables'] },
  },
  question(
    'peakConnections',
    'count',
    'How many statements run at once at the busiest time?',
    'Over all processes; the size of all pools together is the most',
    '50',
    true,
  ),
  question('maxConnections', 'count', 'How many connections does a server accept?', 'max_connections', '100', true),
  question('serverMemoryBytes', 'size', 'How much memory has a server?', 'E.g. 16GB', '16GB', false),
  question('selfService', 'yes-no', 'Do tenants sign up by themselves?', 'And expect to work at once', 'no', false),
]

/** Answers by field, as typed: what is missing is taken from what was read, then from the fallback. */
export type Answers = Readonly<Partial<Record<keyof Facts, string>>>

/**
 * Makes facts of answers, of what `readFacts` read, and of fallbacks, in this order.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` with the field when an answer cannot be understood, or cannot be
 * @example
 * ```ts
 * import { factsFromAnswers } from 'rowhouse-server'
 * console.assert(factsFromAnswers({ tenants: '100_000', selfService: 'yes' }).tenants === 100_000)
 * ```
 */
export function factsFromAnswers(answers: Answers, read: Partial<Facts> = {}): Facts {
  const known = new Set<string>(QUESTIONS.map(({ field }) => field))
  for (const field of Object.keys(answers))
    if (!known.has(field))
      throw misunderstood(field, answers[field as keyof Facts] ?? '', `one of ${[...known].join(', ')} as name`)
  const facts: Record<string, unknown> = {}
  for (const each of QUESTIONS) {
    const answer = answers[each.field]
    facts[each.field] =
      answer === undefined ? (read[each.field] ?? parseAnswer(each, each.fallback)) : parseAnswer(each, answer)
  }
  // Every field has its question, which a test holds; what the values may be is checked here.
  return requireFacts(facts as unknown as Facts)
}

/**
 * Returns the value of an answer.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` with the field, the answer and how it is written
 */
export function parseAnswer(question: Question, answer: string): unknown {
  const { field, kind, choices } = question
  const text = answer.trim()
  if (kind === 'count') return parseCount(field, text)
  if (kind === 'size') return parseSize(field, text)
  if (kind === 'spread') return parseSpread(field, text)
  if (kind === 'named-counts') return parseNamedCounts(question, text)
  if (kind === 'yes-no') return parseYesNo(field, text)
  if (!choices?.includes(text)) throw misunderstood(field, answer, `one of ${choices?.join(', ')}`)
  return text
}

function parseCount(field: string, text: string): number {
  const value = /^\d[\d_]*$/.test(text) ? Number(text.replaceAll('_', '')) : Number.NaN
  if (!Number.isSafeInteger(value)) throw misunderstood(field, text, 'a whole number from 0 on, e.g. 1_000')
  return value
}

const UNITS: Readonly<Record<string, number>> = { MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 }

function parseSize(field: string, text: string): number {
  const [, amount = '', unit = ''] = /^(\d{1,6}) ?(MB|GB|TB)$/i.exec(text) ?? []
  const factor = UNITS[unit.toUpperCase()]
  if (factor === undefined) throw misunderstood(field, text, 'a size with MB, GB or TB, e.g. 16GB')
  return Number(amount) * factor
}

function parseSpread(field: string, text: string): { median: number; p99: number; largest: number } {
  const parts = text.split('/').map((part) => part.trim())
  if (parts.length !== 3) throw misunderstood(field, text, 'three numbers, median/99th percentile/largest')
  const [median = 0, p99 = 0, largest = 0] = parts.map((part) => parseCount(field, part))
  return { median, p99, largest }
}

function parseNamedCounts({ field, choices }: Question, text: string): Record<string, string | number>[] {
  if (text === '' || text === 'none') return []
  return text.split(',').map((part) => {
    const [, name = '', count = ''] = /^([\w.-]+)\s*=\s*([\d_]+)$/.exec(part.trim()) ?? []
    if (name === '') throw misunderstood(field, part.trim(), 'name=number, separated by commas, or none')
    if (choices !== undefined && !choices.includes(name))
      throw misunderstood(field, name, `one of ${choices.join(', ')}`)
    return { [field === 'compliance' ? 'profile' : 'region']: name, tenants: parseCount(field, count) }
  })
}

function parseYesNo(field: string, text: string): boolean {
  if (!/^(y|yes|n|no)$/i.test(text)) throw misunderstood(field, text, 'yes or no')
  return /^y/i.test(text)
}

function question(
  field: keyof Facts,
  kind: Question['kind'],
  ask: string,
  help: string,
  fallback: string,
  readable: boolean,
): Question {
  return { field, kind, ask, help, fallback, readable }
}

function misunderstood(field: string, answer: string, wanted: string): ConfigError {
  return new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot advise on a model: the answer to "${field}" is "${answer.slice(0, 80)}"; wanted ${wanted}`,
  )
}
