import type { Io, Output } from './command.ts'

/** Tells whether a person reads along: otherwise events are JSON lines. */
export function isForPeople(io: Io, json: boolean): boolean {
  return !json && io.stdout.isTTY === true
}

export type Tone = 'dim' | 'bold' | 'good' | 'bad'

const CODES: Readonly<Record<Tone, readonly [number, number]>> = {
  dim: [2, 22],
  bold: [1, 22],
  good: [32, 39],
  bad: [31, 39],
}

/** Sets text apart on a terminal that shows colours, unless NO_COLOR is set. */
export function toned(io: Io, output: Output, tone: Tone, text: string): string {
  if (output.isTTY !== true || io.env.NO_COLOR || io.env.TERM === 'dumb') return text
  const [on, off] = CODES[tone]
  return `\u001b[${on}m${text}\u001b[${off}m`
}

/** Writes a duration for people: `12 ms`, `3.4 s`, `2 min 10 s`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
}

export function countText(count: number): string {
  return count.toLocaleString('en')
}
