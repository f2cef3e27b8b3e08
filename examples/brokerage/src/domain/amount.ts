/** Largest premium a column takes, in the broker's currency. */
const MAX_AMOUNT = 999_999_999_999

/**
 * Returns an amount as PostgreSQL reads it, e.g. `1250.00`; undefined for what is no amount above 0 with two decimals.
 *
 * Text all the way: a number of JavaScript cannot hold every cent.
 */
export function findAmount(value: unknown): string | undefined {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string' || !/^\d{1,12}(?:\.\d{1,2})?$/.test(text.trim())) return undefined
  const amount = Number(text)
  return amount > 0 && amount <= MAX_AMOUNT ? text.trim() : undefined
}
