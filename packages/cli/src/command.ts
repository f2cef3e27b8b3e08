import type { CommandContext, StricliProcess } from '@stricli/core'
import { isRowhouseError } from 'rowhouse'
import { exitCodeOf, UsageError } from './exit-code.ts'
import type { Environment } from './settings.ts'

export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  /** Letters in a line of the terminal. */
  readonly columns?: number | undefined
}

/** Where a command reads and writes. Nothing else of the process is touched. */
export interface Io {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Environment
  /** Where questions are answered; left out, none is asked. */
  readonly stdin?: NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined }
  /** Folder that relative paths start from. @defaultValue the working folder of the process */
  readonly cwd?: string
  /** Aborted when the user asks the command to end. */
  readonly signal?: AbortSignal
}

export interface Context extends CommandContext {
  readonly process: StricliProcess
  readonly io: Io
  /** How the command ended; set by `command`. */
  exitCode: number
}

export interface JsonFlag {
  readonly json: boolean
}

/** The flag every command has. */
export const jsonFlag = {
  kind: 'boolean',
  default: false,
  withNegated: false,
  brief: 'Print one JSON object (progress: one JSON line per event)',
} as const

/** Names a file for those whose environment everybody reads; the URL itself holds a password and is no flag. */
export const adminUrlFileFlag = {
  kind: 'parsed',
  parse: String,
  optional: true,
  placeholder: 'path',
  brief: "File that holds the operator's URL, instead of ROWHOUSE_ADMIN_URL",
} as const

export interface AdminFlags extends JsonFlag {
  readonly adminUrlFile?: string
}

/** Returns a parser for whole numbers, so that a bad one is a mistake of usage and no failure. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new RangeError(`wanted a whole number from ${min} to ${max}`)
  }
}

/** Turns the refusal of a value somebody typed into a mistake of usage. */
export async function asTyped<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message, { cause: error }) : error
  }
}

/** Makes a command of a function, which may return an exit code: prints its errors with code and remedy, and turns them into exit codes. */
export function command<Flags extends JsonFlag, Args extends readonly string[]>(
  work: (io: Io, flags: Flags, ...args: Args) => Promise<unknown>,
) {
  return async function run(this: Context, flags: Flags, ...args: Args): Promise<void> {
    try {
      const ended = await work(this.io, flags, ...args)
      if (typeof ended === 'number') this.exitCode = ended
    } catch (error) {
      this.exitCode = exitCodeOf(error)
      printError(this.io, error, flags.json)
    }
  }
}

function printError(io: Io, error: unknown, json: boolean): void {
  const { message } = error as Error
  const code = (error as { code?: unknown }).code
  if (json) {
    const faults =
      isRowhouseError(error) && 'faults' in error && error.faults.length > 0 ? { faults: error.faults } : {}
    io.stderr.write(`${JSON.stringify({ error: { code: code ?? null, message, ...faults } })}\n`)
    return
  }
  io.stderr.write(`${typeof code === 'string' ? `${code}: ` : ''}${message}\n`)
}
