/** What a text did when it was sent: rows, notices, or the error, everything an attacker could read. */
export interface Outcome {
  readonly error: unknown
  /** All that came back, as one text. */
  readonly answer: string
}

const STACKED = 'cannot insert multiple commands'
const SYNTAX_ERROR = '42601'

export function succeeded(results: unknown): Outcome {
  return { error: undefined, answer: JSON.stringify(results) ?? '' }
}

export function failed(error: unknown, seen: unknown): Outcome {
  return { error, answer: `${JSON.stringify(seen) ?? ''} ${describeError(error)}` }
}

/** Every word of an error and of what caused it: `detail` and `where` quote rows. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = Object.fromEntries(Object.entries(error).filter(([key]) => key !== 'cause'))
  const cause = error.cause === undefined || error.cause === error ? '' : describeError(error.cause)
  return `${error.message} ${JSON.stringify(own)} ${cause}`
}

function sqlStateOf(error: unknown): string | undefined {
  const { cause, code, sqlState } = error as { cause?: unknown; code?: string; sqlState?: string }
  if (sqlState !== undefined) return sqlState
  return cause instanceof Error ? sqlStateOf(cause) : code
}

/** Tells whether the text was SQL at all. Stacked statements are: PostgreSQL parsed both before it refused. */
export function wasParsed({ error, answer }: Outcome): boolean {
  return error === undefined || sqlStateOf(error) !== SYNTAX_ERROR || answer.includes(STACKED)
}
