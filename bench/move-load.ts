import { randomUUID } from 'node:crypto'
import type { Rowhouse } from 'rowhouse'
import type { FoundRow, History } from 'rowhouse-server/testing'

/** How one stretch of writes went, in milliseconds. */
export interface Stretch {
  readonly slowestMs: number
  /** The longest time in which no write was acknowledged. */
  readonly longestGapMs: number
  readonly writes: number
}

/** A row that is there from the beginning, and is only added to. */
const COUNTED = 'row 1'

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
    if (counts) history.added(COUNTED)
    else history.wrote(reference)
    return true
  } catch (error) {
    history.failed(error, counts ? COUNTED : reference)
    return false
  }
}

/** Compares what is there with what was acknowledged. */
export async function checkHistory(app: Rowhouse, slug: string, history: History) {
  const found = await app.withTenant(slug, async (db) => [
    ...(await db.many<FoundRow>(`select reference as identity from shipment where reference like 'written-%'`)),
    ...(await db.many<FoundRow>(`select '${COUNTED}' as identity, version as value from shipment where id = 1`)),
  ])
  const { lost, doubled, stale, foreign } = history.judge(found)
  return { lost: lost.length + stale.length, duplicated: doubled.length + foreign.length }
}
