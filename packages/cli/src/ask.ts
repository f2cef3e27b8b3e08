import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import type { Answers, Facts, Question } from 'rowhouse-server'
import type { Io } from './command.ts'
import { loadServer } from './control-plane.ts'
import { UsageError } from './exit-code.ts'
import { toned } from './terminal.ts'

/**
 * Asks the questions of `advise` on a terminal, each until the answer can be understood. An empty answer takes what was
 * read, or the default.
 *
 * @throws {UsageError} when the terminal is closed, or the user ends the command, before the last answer
 */
export async function askQuestions(io: Io, given: Answers, read: Partial<Facts>): Promise<Answers> {
  const { QUESTIONS, parseAnswer } = await loadServer()
  const terminal = createInterface({
    input: io.stdin as NodeJS.ReadableStream,
    output: io.stderr as unknown as Writable,
  })
  // Lines typed ahead wait in the iterator; `question` would lose those that come between two questions.
  const lines = terminal[Symbol.asyncIterator]()
  io.signal?.addEventListener('abort', () => terminal.close(), { once: true })
  terminal.once('SIGINT', () => terminal.close())
  const answers: Record<string, string> = { ...given }
  try {
    for (const question of QUESTIONS) {
      if (answers[question.field] !== undefined || !isAsked(question, answers)) continue
      io.stderr.write(`${question.ask}\n`)
      for (let isUnderstood = false; !isUnderstood; ) {
        terminal.setPrompt(hintOf(io, question, read))
        terminal.prompt()
        const line = await lines.next()
        if (line.done === true) throw new UsageError('Cannot advise: the questions were not answered to the end')
        const answer = line.value.trim()
        const refusal = answer === '' ? undefined : refusalOf(() => parseAnswer(question, answer))
        if (refusal !== undefined) io.stderr.write(`  ${toned(io, io.stderr, 'bad', refusal)}\n`)
        else if (answer !== '') answers[question.field] = answer
        isUnderstood = refusal === undefined
      }
    }
  } finally {
    terminal.close()
  }
  io.stderr.write('\n')
  return answers
}

function isAsked({ onlyIf }: Question, answers: Answers): boolean {
  return onlyIf === undefined || onlyIf.oneOf.includes(answers[onlyIf.field] ?? '')
}

/** Returns why an answer cannot be understood. */
function refusalOf(parse: () => unknown): string | undefined {
  try {
    parse()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

function hintOf(io: Io, { field, help, choices, kind, fallback }: Question, read: Partial<Facts>): string {
  const known = read[field] === undefined ? fallback : readText(read[field])
  const hint = kind === 'choice' && choices !== undefined ? choices.join(', ') : help
  return `  ${toned(io, io.stderr, 'dim', `${hint} [${known}]`)} `
}

/** Shows what was read as it would be typed. */
function readText(value: Facts[keyof Facts]): string {
  if (typeof value === 'object' && 'median' in value) return `${value.median}/${value.p99}/${value.largest}, as read`
  return `${String(value)}, as read`
}
