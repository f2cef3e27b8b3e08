import { STATUS_CODES } from 'node:http'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { isRowhouseError } from 'rowhouse'
import { InputError, type InputFault } from '../domain/input-error.ts'

/** What is said of an error: `code` is for programs, `detail` for people. */
export interface Problem {
  readonly status: ContentfulStatusCode
  readonly code: string
  readonly detail: string
  readonly faults?: readonly InputFault[]
}

export const NOT_FOUND: Problem = { status: 404, code: 'ERR_NOT_FOUND', detail: 'There is no such thing here' }

/** Answers with problem+json (RFC 9457). */
export function answerProblem(c: Context, problem: Problem): Response {
  const { status, ...rest } = problem
  const headers: Record<string, string> = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' }
  if (status === 503) headers['retry-after'] = '5'
  return c.body(JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, ...rest }), status, headers)
}

/** Turns what was thrown into what may be said of it; whatever is not known says nothing about itself. */
export function toProblem(error: Error): Problem {
  if (error instanceof InputError) {
    return { status: 400, code: error.code, detail: error.message, faults: error.faults }
  }
  if (error instanceof HTTPException) {
    return { status: error.status, code: 'ERR_REQUEST_REFUSED', detail: error.message || 'This may not be sent here' }
  }
  if (isRowhouseError(error) && error.retryable) {
    return { status: 503, code: error.code, detail: 'Try again shortly' }
  }
  return { status: 500, code: 'ERR_INTERNAL', detail: 'Something went wrong; it has been logged' }
}
