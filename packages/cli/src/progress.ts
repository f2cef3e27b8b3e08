import type { Io } from './command.ts'

/** Returns what a long command calls after each piece of work: a line that is rewritten on a terminal, with `--json` a JSON line for each tenth. */
export function progressLine(io: Io, json: boolean): (done: number, total: number, what: string) => void {
  if (json) {
    let last = ''
    return (done, total, what) => {
      const tenth = `${what.replaceAll(/\d+/g, '')} ${Math.floor((done * 10) / total)}`
      // The one object on stdout is the result; what happens on the way goes where people look.
      if (tenth !== last) io.stderr.write(`${JSON.stringify({ step: what, done, total })}\n`)
      last = tenth
    }
  }
  if (!io.stderr.isTTY) return () => {}
  return (done, total, what) => io.stderr.write(`\r\u001b[K${done === total ? '' : `${done} of ${total}: ${what}`}`)
}
