/** What a baseline file may say, and how a wrong one is refused. */

import { ConfigError } from 'rowhouse'
import { describe, expect, test } from 'vitest'
import { applyBaseline, newBaseline, parseBaseline } from '../../src/doctor/baseline.ts'

const now = new Date('2026-11-21T12:00:00Z')
const entry = { rule: 'L31', object: 'publication cdc', reason: 'feeds the warehouse', expires: '2027-03-31' }
const finding = { rule: 'L31', object: 'publication cdc', severity: 'error', message: 'it is there' } as const

function parse(value: unknown) {
  return parseBaseline(typeof value === 'string' ? value : JSON.stringify(value), 'baseline.json', now)
}

describe('parseBaseline()', () => {
  test('reads entries, and what newBaseline() writes', () => {
    expect(parse({ entries: [entry] })).toEqual({ entries: [entry] })
    expect(parse({ $schema: './schema.json', entries: [] })).toEqual({ entries: [] })
    const written = newBaseline(
      [finding, { ...finding, message: 'and truncates' }],
      'accepted for now',
      '2027-11-21',
      now,
    )
    expect(parse(JSON.stringify(written, null, 2))).toEqual(written)
    expect(written.entries).toHaveLength(1)
  })

  test('takes an entry that has expired: it is said, not refused', () => {
    const past = { ...entry, expires: '2026-01-01' }
    expect(parse({ entries: [past] }).entries).toEqual([past])
  })

  test.each([
    ['{', /^Cannot read baseline\.json: it is not JSON \(.*\); correct the baseline$/],
    [[], 'Cannot read baseline.json: wanted an object with a list "entries"; correct the baseline'],
    [{}, 'Cannot read baseline.json: wanted an object with a list "entries"; correct the baseline'],
    [{ entries: [], exclude: [] }, 'Cannot read baseline.json: "exclude" is not known; correct the baseline'],
    [
      { entries: [entry, null] },
      'Cannot read baseline.json, entry 2: wanted an object with "rule", "object", "reason" and "expires"; correct the baseline',
    ],
    [
      { entries: [{ ...entry, expires: undefined }] },
      'Cannot read baseline.json, entry 1: "expires" is missing, wanted text; correct the baseline',
    ],
    [
      { entries: [{ ...entry, object: 7 }] },
      'Cannot read baseline.json, entry 1: "object" is 7, wanted text; correct the baseline',
    ],
    [
      { entries: [{ ...entry, note: 'x' }] },
      'Cannot read baseline.json, entry 1: "note" is not known; correct the baseline',
    ],
    [
      { entries: [{ ...entry, rule: '31' }] },
      'Cannot read baseline.json, entry 1: "rule" is "31", wanted an id like "L01"; correct the baseline',
    ],
    [
      { entries: [{ ...entry, object: ' ' }] },
      'Cannot read baseline.json, entry 1: "object" is empty, wanted the object as the finding names it; correct the baseline',
    ],
    [
      { entries: [{ ...entry, reason: 'because   ' }] },
      'Cannot read baseline.json, entry 1: "reason" is "because   ", wanted at least 10 characters that say why; correct the baseline',
    ],
    [
      { entries: [{ ...entry, expires: 'never' }] },
      'Cannot read baseline.json, entry 1: "expires" is "never", wanted a day like "2026-12-31"; correct the baseline',
    ],
    [
      { entries: [{ ...entry, expires: '2027-02-30' }] },
      'Cannot read baseline.json, entry 1: "expires" is "2027-02-30", wanted a day like "2026-12-31"; correct the baseline',
    ],
    [
      { entries: [{ ...entry, expires: '2028-01-01' }] },
      'Cannot read baseline.json, entry 1: "expires" is "2028-01-01", wanted a day at most a year ahead; correct the baseline',
    ],
    [
      { entries: [entry, entry] },
      'Cannot read baseline.json, entry 2: "L31" on "publication cdc" is there twice; correct the baseline',
    ],
  ])('refuses %j', (value, message) => {
    const error = catchError(() => parse(value))
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).code).toBe('ERR_CONFIG_INVALID')
    expect((error as ConfigError).message).toMatch(message)
  })
})

test('newBaseline() gives no reason away for free, and no time without end', () => {
  expect(() => newBaseline([finding], 'later', '2027-01-01', now)).toThrow(
    'Cannot read a new baseline: "reason" is "later", wanted at least 10 characters that say why; correct the baseline',
  )
  expect(() => newBaseline([finding], 'accepted for now', '2030-01-01', now)).toThrow(/at most a year ahead/)
})

describe('applyBaseline()', () => {
  const judge = (day: string, asked = ['L31']) =>
    applyBaseline([finding], { entries: [entry] }, new Date(`${day}T23:59:59Z`), new Set(asked))

  test('accepts on the last day and not on the day after', () => {
    expect(judge('2027-03-31')).toEqual({ findings: [], accepted: [finding], expired: [], stale: [] })
    expect(judge('2027-04-01')).toEqual({ findings: [finding], accepted: [], expired: [entry], stale: [] })
  })

  test('calls an entry stale only where its rule has answered', () => {
    const none = (asked: string[]) => applyBaseline([], { entries: [entry] }, now, new Set(asked)).stale
    expect(none(['L31'])).toEqual([entry])
    expect(none(['L30'])).toEqual([])
  })

  test('accepts the object named, of the rule named, and nothing like it', () => {
    const others = [
      { ...finding, rule: 'L32' },
      { ...finding, object: 'publication cdc2' },
    ]
    const { findings } = applyBaseline(others, { entries: [entry] }, now, new Set(['L31', 'L32']))
    expect(findings).toEqual(others)
  })
})

function catchError(fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return error
  }
  return undefined
}
