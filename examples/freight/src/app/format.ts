/** How figures are written on pages. */

/** @param digits  behind the point. @defaultValue what the currency has */
export function money(amount: number | string, currency: string, digits?: number): string {
  const fixed = digits === undefined ? {} : { minimumFractionDigits: digits, maximumFractionDigits: digits }
  return new Intl.NumberFormat('en', { style: 'currency', currency, ...fixed }).format(Number(amount))
}

/** For headlines: `AED 25.3M`. */
export function roundMoney(amount: number, currency: string): string {
  const options = { style: 'currency', currency, notation: 'compact', maximumFractionDigits: 1 } as const
  return new Intl.NumberFormat('en', options).format(amount)
}

export function count(value: number): string {
  return new Intl.NumberFormat('en').format(value)
}

export function day(value: Date | string): string {
  const options = { day: '2-digit', month: 'short', year: 'numeric', timeZone: 'UTC' } as const
  return new Intl.DateTimeFormat('en-GB', options).format(new Date(value))
}

export function moment(value: Date): string {
  const options = { day: '2-digit', month: 'short', hour: '2-digit', minute: '2-digit', timeZone: 'UTC' } as const
  return `${new Intl.DateTimeFormat('en-GB', options).format(value)} UTC`
}

/** `in_transit` → `In transit`. */
export function label(word: string): string {
  const spaced = word.replaceAll('_', ' ')
  return spaced.charAt(0).toUpperCase() + spaced.slice(1)
}
