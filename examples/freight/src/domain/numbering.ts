/** Document numbers in each tenant's own format, e.g. `DXB-2026-00042` or `GLX/000042/26`. */

import type { Transaction } from 'rowhouse'

export type NumberKind = 'shipment' | 'quote' | 'invoice' | 'awb'

/** What a number is made from. */
export interface NumberFacts {
  readonly sequence: number
  readonly year: number
  /** Code of the branch, e.g. `DXB`. */
  readonly branch: string
}

const PLACEHOLDER = /\{(yyyy|yy|branch|check7|seq(?::([1-9]))?)\}/g

/**
 * Writes a number.
 *
 * @param format  text with `{yyyy}`, `{yy}`, `{branch}`, `{seq:5}` (padded to that many digits) and `{check7}`
 *   (remainder of the sequence by 7, which ends an air waybill number)
 */
export function formatNumber(format: string, { sequence, year, branch }: NumberFacts): string {
  return format.replace(PLACEHOLDER, (_, name: string, digits?: string) => {
    if (name === 'yyyy') return String(year)
    if (name === 'yy') return String(year % 100).padStart(2, '0')
    if (name === 'branch') return branch
    if (name === 'check7') return String(sequence % 7)
    return String(sequence).padStart(Number(digits ?? 1), '0')
  })
}

/** The counter starts again in each period: each year where the format shows the year, else never. */
export function periodOf(format: string, year: number): string {
  return /\{yy(?:yy)?\}/.test(format) ? String(year) : ''
}

/**
 * Takes the next number inside the transaction that uses it, so that a rolled-back document leaves no gap.
 *
 * The counter's row stays locked until commit: documents of one tenant and kind are numbered one after another,
 * and no tenant waits for another one.
 */
export async function takeNumber(
  tx: Transaction,
  kind: NumberKind,
  format: string,
  facts: Omit<NumberFacts, 'sequence'>,
): Promise<string> {
  const { value } = await tx.one<{ value: string }>(
    `insert into counter (kind, period, value) values ($1, $2, 1)
     on conflict (tenant_id, kind, period) do update set value = counter.value + 1
     returning value`,
    [kind, periodOf(format, facts.year)],
  )
  return formatNumber(format, { ...facts, sequence: Number(value) })
}
