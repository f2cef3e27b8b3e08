/** Reads what requests carry; anything that is not as wanted becomes an `InputError` or undefined, never a guess. */

import type { Context } from 'hono'
import { InputError } from '../domain/input-error.ts'
import { isoDate } from '../domain/iso-date.ts'
import { MAX_PAGE } from '../domain/page.ts'
import { POLICY_STATUSES, type PolicyFilter } from '../domain/policies.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Returns the id in the path, or undefined when it cannot be one: then nothing is found, as with any other id. */
export function findId(c: Context): string | undefined {
  const id = c.req.param('id')
  return id !== undefined && UUID.test(id) ? id : undefined
}

/** Reads `status`, `q` and `page`. An empty field of a form counts as absent. */
export function readPolicyFilter(c: Context): PolicyFilter {
  const status = c.req.query('status') || undefined
  const known = POLICY_STATUSES.find((each) => each === status)
  if (status !== undefined && known === undefined) {
    throw new InputError([{ field: 'status', message: `must be one of ${POLICY_STATUSES.join(', ')}` }])
  }
  const search = c.req.query('q')?.trim() || undefined
  if (search !== undefined && search.length > 60) {
    throw new InputError([{ field: 'q', message: 'must have at most 60 characters' }])
  }
  return { status: known, search, page: readPage(c) }
}

export function readPage(c: Context): number {
  const page = Number(c.req.query('page') || 1)
  if (Number.isInteger(page) && page >= 1 && page <= MAX_PAGE) return page
  throw new InputError([{ field: 'page', message: `must be a whole number from 1 to ${MAX_PAGE}` }])
}

/** Reads a month, e.g. `2026-11`. @defaultValue the running one */
export function readMonth(value: unknown): string {
  if (value === undefined || value === '') return isoDate(new Date()).slice(0, 7)
  if (typeof value === 'string' && /^20\d\d-(?:0[1-9]|1[0-2])$/.test(value)) return value
  throw new InputError([{ field: 'month', message: 'must be a month, e.g. 2026-11' }])
}

/** Reads a JSON body, or the fields of a form. */
export async function readFields(c: Context): Promise<Record<string, unknown>> {
  const type = c.req.header('content-type') ?? ''
  if (/^application\/(?:x-www-form-urlencoded)\b|^multipart\/form-data\b/i.test(type)) return c.req.parseBody()
  if (!/^application\/json\b/i.test(type)) {
    throw new InputError([{ field: 'content-type', message: 'must be "application/json" or a form' }])
  }
  const value = await c.req.json().catch(() => undefined)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new InputError([{ field: 'body', message: 'must be a JSON object' }])
}

/** Reads a book of business: a CSV body, or the file `book` of a form. */
export async function readBook(c: Context): Promise<string> {
  if (/^text\/csv\b/i.test(c.req.header('content-type') ?? '')) return c.req.text()
  const { book } = await readFields(c)
  if (book instanceof File) return book.text()
  if (typeof book === 'string' && book !== '') return book
  throw new InputError([{ field: 'book', message: 'must be a CSV file' }])
}
