/** Writes the day of a moment in UTC, e.g. `2026-11-21`. */
export function isoDate(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}
