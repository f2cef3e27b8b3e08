import { expect, it } from 'vitest'
import { RowSum } from './row-sum.ts'

const LINES = Array.from(
  { length: 2_000 },
  (_, n) => `${n}\tref-${n * 7919}\t${'é'.repeat(n % 5)}${n % 3 ? '\\N' : ''}`,
)

function sumOf(lines: readonly string[], chunkBytes = 65_536): string {
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
  const sum = new RowSum()
  for (let from = 0; from < bytes.length; from += chunkBytes) sum.add(bytes.subarray(from, from + chunkBytes))
  return `${sum.rows} ${sum.text}`
}

it('does not depend on where chunks end, nor on the order of rows', () => {
  const sum = sumOf(LINES)
  for (const chunkBytes of [1, 2, 3, 4, 5, 7, 64, 1_001]) expect(sumOf(LINES, chunkBytes)).toBe(sum)
  expect(sumOf(LINES.toReversed(), 777)).toBe(sum)
})

it('is written down as the description of the format has it', () => {
  expect(sumOf(['1\ta', '', '22\tbcdef'])).toBe('3 ab4caf43ddb9b644')
})

it('changes with a row that is missing, twice or changed in one byte, wherever that is', () => {
  const sums = new Set([sumOf(LINES), sumOf(LINES.slice(1)), sumOf([...LINES, LINES[7] as string])])
  const row = '12\tabcdefghij'
  for (let at = 0; at < row.length; at += 1) sums.add(sumOf([...LINES, `${row.slice(0, at)}~${row.slice(at + 1)}`]))
  for (let length = 0; length < row.length; length += 1) sums.add(sumOf([...LINES, row.slice(0, length)]))
  expect(sums.size).toBe(3 + 2 * row.length)
})

it('changes when values change places between rows', () => {
  expect(sumOf(['1\tone', '2\ttwo'])).not.toBe(sumOf(['1\ttwo', '2\tone']))
  expect(sumOf(['ab', 'cd'])).not.toBe(sumOf(['abc', 'd']))
})
