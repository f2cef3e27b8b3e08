import { randomUUID } from 'node:crypto'
import { isRowhouseError, type Rowhouse } from 'rowhouse'

/** What an application wrote, and what it was told. */
export interface History {
  /** References of inserted rows that were acknowledged; each must be there once. */
  readonly acknowledged: string[]
  /** References of inserts that failed: the application does not know. */
  readonly unknown: Set<string>
  /** Acknowledged and failed additions to the version of row 1. */
  readonly counted: { acknowledged: number; unknown: number }
  readonly failures: Record<string, number>
}

/** How one stretch of writes went, in milliseconds. */
export interface Stretch {
  readonly slowestMs: number
  /** The longest time in which no write was acknowledged. */
  readonly longestGapMs: number
  readonly writes: number
}

export function newHistory(): History {
  return { acknowledged: [], unknown: new Set(), counted: { acknowledged: 0, unknown: 0 }, failures: {} }
}

/**
 * Writes at a fixed rate, whether or not the writes before are answered: one that waits holds no other back, and the
 * wait is counted from when it was due. Every fourth one adds to a row that is there, the others insert.
 */
export function writeSteadily(app: Rowhouse, slug: string, perSecond: number, history: History) {
  const began = performance.now()
  const pending = new Set<Promise<void>>()
  let writes = 0
  let slowestMs = 0
  let longestGapMs = 0
  let lastMs = began
  const answered = (dueMs: number) => {
    const nowMs = performance.now()
    slowestMs = Math.max(slowestMs, nowMs - dueMs)
    longestGapMs = Math.max(longestGapMs, nowMs - lastMs)
    lastMs = nowMs
  }
  const timer = setInterval(() => {
    while (began + (writes * 1_000) / perSecond <= performance.now()) {
      const dueMs = began + (writes * 1_000) / perSecond
      const write: Promise<void> = writeOne(app, slug, writes, history)
        .then((ok) => (ok ? answered(dueMs) : undefined))
        .finally(() => pending.delete(write))
      pending.add(write)
      writes += 1
    }
  }, 2)
  return {
    stop: async (): Promise<Stretch> => {
      clearInterval(timer)
      await Promise.all(pending)
      return { slowestMs, longestGapMs, writes }
    },
  }
}

async function writeOne(app: Rowhouse, slug: string, n: number, history: History): Promise<boolean> {
  const reference = `written-${randomUUID()}`
  const counts = n % 4 === 0
  try {
    await app.withTenant(slug, (db) =>
      counts
        ? db.query('update shipment set version = version + 1 where id = 1')
        : db.query(`insert into shipment (reference, price) values ($1, 12.5)`, [reference]),
    )
    if (counts) history.counted.acknowledged += 1
    else history.acknowledged.push(reference)
    return true
  } catch (error) {
    if (counts) history.counted.unknown += 1
    else history.unknown.add(reference)
    const code = isRowhouseError(error) ? error.code : String(error)
    history.failures[code] = (history.failures[code] ?? 0) + 1
    return false
  }
}

/** Compares what is there with what was acknowledged. */
export async function checkHistory(app: Rowhouse, slug: string, { acknowledged, unknown, counted }: History) {
  const { rows, version } = await app.withTenant(slug, async (db) => ({
    rows: await db.many<{ reference: string; times: number }>(
      `select reference, count(*)::int as times from shipment where reference like 'written-%' group by 1`,
    ),
    version: (await db.one<{ version: number }>(`select version from shipment where id = 1`)).version,
  }))
  const times = new Map(rows.map((row) => [row.reference, row.times]))
  const known = new Set(acknowledged)
  const missing = acknowledged.filter((reference) => !times.has(reference)).length
  const twice = rows.filter((row) => row.times > 1).length
  const foreign = rows.filter((row) => !known.has(row.reference) && !unknown.has(row.reference)).length
  return {
    lost: missing + Math.max(0, counted.acknowledged - version),
    duplicated: twice + foreign + Math.max(0, version - counted.acknowledged - counted.unknown),
  }
}
