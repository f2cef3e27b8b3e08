import type { Io } from './command.ts'
import { printJson } from './print.ts'

/** Returns what a long command calls after each piece of work: a line that is rewritten on a terminal, JSON lines with `--json`. */
export function progressLine(io: Io, json: boolean): (done: number, total: number, what: string) => void {
  if (json) {
    // The one object on stdout is the result; what happens on the way goes where people look.
    return (done, total, what) => printJson({ ...io, stdout: io.stderr }, { step: what, done, total })
  }
  if (!io.stderr.isTTY) return () => {}
  return (done, total, what) => io.stderr.write(`\r\u001b[K${done === total ? '' : `${done} of ${total}: ${what}`}`)
}
