import { STATUS_CODES } from 'node:http'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { isRowhouseError } from 'rowhouse'
import { InputError, type InputFault } from '../domain/input-error.ts'

/** Answers with problem+json (RFC 9457); `code` is for programs, `detail` for people. */
export function problem(
  c: Context,
  status: ContentfulStatusCode,
  code: string,
  detail: string,
  faults?: readonly InputFault[],
): Response {
  const body = { type: 'about:blank', title: STATUS_CODES[status], status, code, detail, ...(faults ? { faults } : {}) }
  return c.body(JSON.stringify(body), status, {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
  })
}

/**
 * One answer for "no such thing", "another tenant's" and "another branch's": the same bytes, so that nobody can
 * find out by asking which ids exist.
 */
export function notFound(c: Context): Response {
  return problem(c, 404, 'ERR_NOT_FOUND', 'There is no such thing here')
}

/** Turns what a route threw into an answer; whatever is not known says nothing about itself. */
export function presentError(c: Context, error: Error): Response {
  if (error instanceof InputError) return problem(c, 400, error.code, error.message, error.faults)
  if (error instanceof HTTPException) {
    return problem(c, error.status, 'ERR_REQUEST_REFUSED', 'This request may not be sent from another site')
  }
  if (isRowhouseError(error)) {
    if (error.code === 'ERR_ISOLATION_FOREIGN_ROW') {
      return problem(c, 403, 'ERR_ACCESS_DENIED', 'This belongs to a branch you do not work for')
    }
    if (error.retryable) return problem(c, 503, error.code, 'Try again shortly')
  }
  return problem(c, 500, 'ERR_INTERNAL', 'Something went wrong; it has been logged')
}
