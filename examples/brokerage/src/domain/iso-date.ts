/** Returns a day that is in the calendar, as `2026-11-30`; undefined for anything else. */
export function findIsoDate(text: unknown): string | undefined {
  if (typeof text !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(text)) return undefined
  const date = new Date(`${text}T00:00:00Z`)
  // JavaScript turns 30 February into 2 March.
  return !Number.isNaN(date.getTime()) && isoDate(date) === text ? text : undefined
}

/** Writes the day of a moment in UTC, e.g. `2026-11-21`. */
export function isoDate(date: Date): string {
  return date.toISOString().slice(0, 10)
}

/** Returns the day so many days later. */
export function addDays(day: string, days: number): string {
  return isoDate(new Date(Date.parse(`${day}T00:00:00Z`) + days * 86_400_000))
}
