/**
 * Every case where `npm run test:long` runs them, otherwise a few of them, far apart: a kill -9 and a takeover take
 * seconds each, and what all suites take together is bounded.
 */
export function inSlice<T>(cases: readonly T[], few: number): readonly T[] {
  if (process.env.ROWHOUSE_TEST_LONG === '1') return cases
  const step = (cases.length - 1) / Math.max(1, few - 1)
  return Array.from({ length: Math.min(few, cases.length) }, (_, n) => cases[Math.round(n * step)] as T)
}
