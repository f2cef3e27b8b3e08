/** Reads what requests carry; anything that is not as wanted becomes an `InputError` or undefined, never a guess. */

import type { Context } from 'hono'
import { InputError } from '../domain/input-error.ts'
import { MAX_PAGE, SHIPMENT_STATUSES, type ShipmentFilter } from '../domain/shipment-list.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

const MAX_BODY_BYTES = 16_384

/** Returns the id in the path, or undefined when it cannot be one: then nothing is found, as with any other id. */
export function findId(c: Context): string | undefined {
  const id = c.req.param('id')
  return id !== undefined && UUID.test(id) ? id : undefined
}

/** Reads `status`, `q` and `page`. An empty field of a form counts as absent. */
export function readShipmentFilter(c: Context): ShipmentFilter {
  const status = c.req.query('status') || undefined
  const known = SHIPMENT_STATUSES.find((each) => each === status)
  if (status !== undefined && known === undefined) {
    throw new InputError([{ field: 'status', message: `must be one of ${SHIPMENT_STATUSES.join(', ')}` }])
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

/** Reads a JSON body of at most 16 KiB. */
export async function readJson(c: Context): Promise<unknown> {
  if (!/^application\/json\b/i.test(c.req.header('content-type') ?? '')) {
    throw new InputError([{ field: 'content-type', message: 'must be "application/json"' }])
  }
  if (Number(c.req.header('content-length') ?? 0) > MAX_BODY_BYTES) throw tooLarge()
  const text = await c.req.text()
  if (text.length > MAX_BODY_BYTES) throw tooLarge()
  try {
    return JSON.parse(text)
  } catch {
    throw new InputError([{ field: 'body', message: 'must be JSON' }])
  }
}

function tooLarge(): InputError {
  return new InputError([{ field: 'body', message: `must have at most ${MAX_BODY_BYTES} bytes` }])
}
