import type { Transaction } from 'rowhouse'

/**
 * Takes the next number of the year inside the transaction that uses it, e.g. `HB-Q-2026-00017`: what is rolled back
 * leaves no gap, and no broker waits for another one.
 */
export async function takeNumber(
  tx: Transaction,
  kind: 'quote' | 'policy',
  { prefix, year }: { readonly prefix: string; readonly year: number },
): Promise<string> {
  const { value } = await tx.one<{ value: string }>(
    `insert into counter (kind, year, value) values ($1, $2, 1)
     on conflict (tenant_id, kind, year) do update set value = counter.value + 1
     returning value`,
    [kind, year],
  )
  return `${prefix}-${kind === 'quote' ? 'Q' : 'P'}-${year}-${value.padStart(5, '0')}`
}
