import type { Io } from './command.ts'
import { countText, durationText, toned } from './terminal.ts'

/** What a bar shows. */
export interface Progress {
  readonly label: string
  readonly done: number
  readonly total: number
  /** Said behind the figures, e.g. what failed. */
  readonly note?: string
}

/** One line at the bottom of a terminal that is rewritten, and lines above it that stay. */
export interface ProgressBar {
  show(progress: Progress): void
  /** Writes a line that stays, above the bar. */
  keep(line: string): void
  /** Takes the bar away. */
  end(): void
}

const BAR_LETTERS = 24
/** Labels change from wave to wave, and the bar stays where it is. */
const LABEL_LETTERS = 10
/** Rewriting more often than the eye follows makes a line flicker. */
const REPAINT_MS = 80
/** A rate over the first moments says nothing. */
const RATE_AFTER_MS = 400

/** Returns a bar on standard error; where that is no terminal, one that writes the lines that stay and nothing else. */
export function openProgressBar(io: Io, now: () => number = () => performance.now()): ProgressBar {
  const { stderr } = io
  if (stderr.isTTY !== true) return { show() {}, keep: (line) => stderr.write(`${line}\n`), end() {} }
  let began: number | undefined
  let painted = Number.NEGATIVE_INFINITY
  let current: Progress | undefined
  const clear = () => stderr.write('\r\u001b[K')
  const paint = () => {
    if (current === undefined) return
    painted = now()
    stderr.write(`\r\u001b[K${barLine(io, current, painted - (began ?? painted))}`)
  }
  return {
    show(progress) {
      const isNew = progress.label !== current?.label
      current = progress
      began ??= now()
      if (isNew || now() - painted >= REPAINT_MS) paint()
    },
    keep(line) {
      if (current !== undefined) clear()
      stderr.write(`${line}\n`)
      paint()
    },
    end() {
      if (current !== undefined) clear()
      current = undefined
    },
  }
}

function barLine(io: Io, { label, done, total, note }: Progress, elapsedMs: number): string {
  const share = total === 0 ? 1 : Math.min(1, done / total)
  const full = Math.round(share * BAR_LETTERS)
  const bar = `${toned(io, io.stderr, 'good', '━'.repeat(full))}${toned(io, io.stderr, 'dim', '━'.repeat(BAR_LETTERS - full))}`
  const figures = `${countText(done).padStart(countText(total).length)} of ${countText(total)}`
  const parts = [figures, ...rateOf(done, total, elapsedMs), ...(note === undefined ? [] : [note])]
  // A line that wraps cannot be rewritten.
  const room = (io.stderr.columns || 80) - BAR_LETTERS - Math.max(label.length, LABEL_LETTERS) - 5
  return `${label.padEnd(LABEL_LETTERS)}  ${bar}  ${parts.join(' · ').slice(0, Math.max(0, room))}`
}

function rateOf(done: number, total: number, elapsedMs: number): string[] {
  if (done === 0 || elapsedMs < RATE_AFTER_MS) return []
  const perSecond = (done * 1_000) / elapsedMs
  const rate = perSecond >= 10 ? countText(Math.round(perSecond)) : perSecond.toFixed(1)
  const left = total > done ? [`${durationText(((total - done) * 1_000) / perSecond)} left`] : []
  return [`${rate} per second`, ...left]
}
