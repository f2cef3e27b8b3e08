/**
 * Words of the laboratory. An **attack** is what somebody tries; a **wall** is what stands in the way; an **attempt**
 * is one attack on one wall, with its **verdict**: `own` (only rows of the own tenant), `refused`, or `leaked`.
 */

import { isRowhouseError } from 'rowhouse'
import type { LabTenant } from './lab-tenant.ts'

export type Verdict = 'own' | 'refused' | 'leaked'

export type Row = Readonly<Record<string, unknown>>

export interface Attempt {
  readonly attack: string
  readonly wall: string
  /** True for walls that are weak on purpose. */
  readonly isControl: boolean
  /** The SQL or the request, as it was sent. */
  readonly sent: string
  readonly verdict: Verdict
  /** One sentence for people. */
  readonly explanation: string
  readonly code?: string | undefined
  readonly sqlState?: string | undefined
  readonly rows: readonly Row[]
}

/** What came back from a wall that let the statement run. */
export interface Outcome {
  readonly rows: readonly Row[]
  /** Rows written, for statements that write. */
  readonly written: number
  /** How many rows of the table are the tenant's own: writing more means writing to others. */
  readonly ownRows: number
}

export interface Tried {
  readonly attack: string
  readonly wall: string
  readonly isControl: boolean
  readonly sent: string
}

/** Rows shown of what an attack brought; enough to see whose they are. */
const SHOWN_ROWS = 12

/**
 * Judges what came back.
 *
 * @param others  tenants the visitor is not
 * @param successLeaks  true for attacks that harm by succeeding, e.g. planting a row with another tenant
 */
export function judge(tried: Tried, outcome: Outcome, others: readonly LabTenant[], successLeaks = false): Attempt {
  const foreign = outcome.rows.filter((row) => isForeign(row, others, tried.sent))
  const excess = outcome.written - outcome.ownRows
  const rows = [...foreign, ...outcome.rows.filter((row) => !foreign.includes(row))].slice(0, SHOWN_ROWS)
  const leak = (explanation: string): Attempt => ({ ...tried, verdict: 'leaked', explanation, rows })
  if (foreign.length > 0) return leak(`${foreign.length} of ${rowCount(outcome.rows.length)} belong to other tenants`)
  if (successLeaks && outcome.written > 0) return leak(`${rowCount(outcome.written)} written with another tenant's id`)
  if (excess > 0) return leak(`${rowCount(outcome.written)} written, ${excess} of them of other tenants`)
  const what = outcome.written > 0 ? `${rowCount(outcome.written)} written` : `${rowCount(outcome.rows.length)} read`
  return { ...tried, verdict: 'own', explanation: `${what}, none of another tenant`, rows }
}

function rowCount(rows: number): string {
  return rows === 1 ? '1 row' : `${rows} rows`
}

/**
 * Tells whether a row shows something of another tenant: its id or one of its numbers.
 *
 * What stands in the statement itself proves nothing: `select '<id>'` answers with that id at any wall.
 */
function isForeign(row: Row, others: readonly LabTenant[], sent: string): boolean {
  const text = Object.values(row).map(String).join('\n')
  return others.some(({ id, numberPattern }) => {
    const marks = [...(text.includes(id) ? [id] : []), ...(text.match(numberPattern) ?? [])]
    return marks.some((mark) => !sent.includes(mark))
  })
}

/** Describes a refusal by its codes. */
export function refusedBy(tried: Tried, error: unknown): Attempt {
  const { code, sqlState, message } = factsOf(error)
  return { ...tried, verdict: 'refused', explanation: message, code, sqlState, rows: [] }
}

function factsOf(error: unknown): { code: string | undefined; sqlState: string | undefined; message: string } {
  if (!isRowhouseError(error)) {
    const { code, message } = error as Error & { code?: string }
    return { code: undefined, sqlState: code, message: message ?? String(error) }
  }
  const cause = error.cause as { code?: string } | undefined
  return { code: error.code, sqlState: cause?.code, message: error.message }
}
