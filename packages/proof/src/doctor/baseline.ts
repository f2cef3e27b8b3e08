/**
 * A baseline: findings that somebody has looked at and accepts, each with a reason and for a time.
 *
 * Nothing is accepted for ever: an entry ends after a year at the latest, so that somebody looks again. What matches
 * nothing any more is said, so that the file stays short.
 */

import { ConfigError } from 'rowhouse'
import type { Finding } from '../report/finding.ts'

export interface Baseline {
  readonly entries: readonly BaselineEntry[]
}

export interface BaselineEntry {
  /** Id of the rule, e.g. `L31`. */
  readonly rule: string
  /** The object as the finding names it. */
  readonly object: string
  /** Why this is accepted, at least 10 characters. */
  readonly reason: string
  /** Last day on which it is, `YYYY-MM-DD`, at most a year ahead. */
  readonly expires: string
}

export interface Judged {
  readonly findings: readonly Finding[]
  readonly accepted: readonly Finding[]
  readonly expired: readonly BaselineEntry[]
  readonly stale: readonly BaselineEntry[]
}

const REASON_LENGTH = 10
const DAY_MS = 86_400_000
/** A year and a day, so that a date a year from now is fine in leap years and in every time zone. */
const LONGEST_DAYS = 367
const KEYS = ['rule', 'object', 'reason', 'expires'] as const

/**
 * Parses the text of a baseline file: `{ "entries": [{ "rule", "object", "reason", "expires" }] }`.
 *
 * @param file  name of the file, for messages
 * @param now  the day from which the year counts
 * @throws {ConfigError} `ERR_CONFIG_INVALID` naming the file, the entry and what is wrong with it
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { diagnose, parseBaseline } from 'rowhouse-proof'
 * const file = 'rowhouse-baseline.json'
 * const baseline = parseBaseline(await readFile(file, 'utf8'), file)
 * const { findings } = await diagnose({ url: process.env.ROWHOUSE_ADMIN_URL, baseline })
 * ```
 */
export function parseBaseline(text: string, file: string, now = new Date()): Baseline {
  const { entries, ...rest } = parseObject(text, file)
  if (!Array.isArray(entries)) throw invalid(file, 'wanted an object with a list "entries"')
  for (const key of Object.keys(rest)) if (key !== '$schema') throw invalid(file, `"${key}" is not known`)
  const parsed = entries.map((entry, index) => parseEntry(entry, `${file}, entry ${index + 1}`, now))
  const seen = new Set<string>()
  for (const [index, entry] of parsed.entries()) {
    const place = keyOf(entry)
    if (seen.has(place))
      throw invalid(`${file}, entry ${index + 1}`, `"${entry.rule}" on "${entry.object}" is there twice`)
    seen.add(place)
  }
  return { entries: parsed }
}

/**
 * Makes a baseline that accepts all findings given, for the text of a new file (`JSON.stringify(baseline, null, 2)`).
 *
 * @param reason  why they are accepted, at least 10 characters
 * @param expires  last day on which they are, `YYYY-MM-DD`, at most a year after `now`
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a reason or a day that a baseline file may not have
 */
export function newBaseline(findings: readonly Finding[], reason: string, expires: string, now = new Date()): Baseline {
  assertReason(reason, 'a new baseline')
  assertDay(expires, 'a new baseline', now)
  const entries = new Map<string, BaselineEntry>()
  for (const { rule, object } of findings) entries.set(keyOf({ rule, object }), { rule, object, reason, expires })
  return { entries: [...entries.values()] }
}

/**
 * Takes out of the findings what the baseline accepts.
 *
 * @param asked  rules that answered: only their entries can be called stale
 */
export function applyBaseline(
  findings: readonly Finding[],
  baseline: Baseline | undefined,
  now: Date,
  asked: ReadonlySet<string>,
): Judged {
  const entries = baseline?.entries ?? []
  const today = now.toISOString().slice(0, 10)
  const expired = entries.filter(({ expires }) => expires < today)
  const valid = new Set(entries.filter((entry) => !expired.includes(entry)).map(keyOf))
  const found = new Set(findings.map(keyOf))
  return {
    findings: findings.filter((finding) => !valid.has(keyOf(finding))),
    accepted: findings.filter((finding) => valid.has(keyOf(finding))),
    expired,
    stale: entries.filter((entry) => asked.has(entry.rule) && !found.has(keyOf(entry))),
  }
}

function keyOf({ rule, object }: Pick<Finding, 'rule' | 'object'>): string {
  return `${rule} ${object}`
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(file, `it is not JSON (${error instanceof Error ? error.message : error})`)
  }
  if (!isObject(value)) throw invalid(file, 'wanted an object with a list "entries"')
  return value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseEntry(value: unknown, place: string, now: Date): BaselineEntry {
  if (!isObject(value)) throw invalid(place, 'wanted an object with "rule", "object", "reason" and "expires"')
  for (const key of KEYS) {
    if (typeof value[key] !== 'string') throw invalid(place, `"${key}" is ${show(value[key])}, wanted text`)
  }
  for (const key of Object.keys(value)) {
    if (!(KEYS as readonly string[]).includes(key)) throw invalid(place, `"${key}" is not known`)
  }
  const { rule, object, reason, expires } = value as unknown as BaselineEntry
  if (!/^L\d{2,}$/.test(rule)) throw invalid(place, `"rule" is "${rule}", wanted an id like "L01"`)
  if (object.trim() === '') throw invalid(place, '"object" is empty, wanted the object as the finding names it')
  assertReason(reason, place)
  assertDay(expires, place, now)
  return { rule, object, reason, expires }
}

function show(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value)
}

function assertReason(reason: string, place: string): void {
  if (reason.trim().length >= REASON_LENGTH) return
  throw invalid(place, `"reason" is "${reason}", wanted at least ${REASON_LENGTH} characters that say why`)
}

function assertDay(day: string, place: string, now: Date): void {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN
  // Date.parse takes 30 February for a day in March.
  if (Number.isNaN(time) || new Date(time).toISOString().slice(0, 10) !== day) {
    throw invalid(place, `"expires" is "${day}", wanted a day like "2026-12-31"`)
  }
  if (time - now.getTime() > LONGEST_DAYS * DAY_MS) {
    throw invalid(place, `"expires" is "${day}", wanted a day at most a year ahead`)
  }
}

function invalid(place: string, fault: string): ConfigError {
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot read ${place}: ${fault}; correct the baseline`)
}
