/** What a new shipment is made from, read from whatever JSON somebody sent. */

import { InputError, type InputFault } from './input-error.ts'

export interface ShipmentOrder {
  /** Code of the branch, e.g. `DXB`. */
  readonly branch: string
  /** Code of the customer, e.g. `C0001`. */
  readonly customer: string
  readonly mode: 'sea' | 'air' | 'road'
  /** UN/LOCODE. */
  readonly origin: string
  readonly destination: string
  readonly goods: string
  readonly packages: number
  readonly weightKg: number
  /** Price without VAT; undefined means by the tenant's rates. */
  readonly freight: number | undefined
}

type Check = (value: unknown) => string | undefined

/** Each field with its rule; a field that is not here is refused, above all `tenantId`. */
const FIELDS: Readonly<Record<keyof ShipmentOrder, Check>> = {
  branch: matches(/^[A-Z]{3}$/, 'must be the code of a branch, three capital letters'),
  customer: matches(/^C[0-9]{4,8}$/, 'must be the code of a customer, e.g. "C0001"'),
  mode: matches(/^(?:sea|air|road)$/, 'must be "sea", "air" or "road"'),
  origin: matches(/^[A-Z]{2}[A-Z0-9]{3}$/, 'must be a UN/LOCODE, e.g. "AEDXB"'),
  destination: matches(/^[A-Z]{2}[A-Z0-9]{3}$/, 'must be a UN/LOCODE, e.g. "NLRTM"'),
  goods: matches(/^[^\p{Cc}]{2,120}$/u, 'must be 2 to 120 characters on one line'),
  packages: wholeNumber(1, 10_000),
  weightKg: wholeNumber(1, 500_000),
  freight: (value) =>
    value === undefined || (typeof value === 'number' && value >= 0 && value < 1e9)
      ? undefined
      : 'must be a price from 0 to 999 999 999, or left out to price by rate',
}

/**
 * Reads a shipment order.
 *
 * @param input  parsed JSON, not trusted
 * @throws {InputError} that names every wrong, missing and unknown field
 */
export function parseShipmentOrder(input: unknown): ShipmentOrder {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new InputError([{ field: 'body', message: 'must be a JSON object' }])
  }
  const given = input as Record<string, unknown>
  const unknown = Object.keys(given)
    .filter((field) => !Object.hasOwn(FIELDS, field))
    .map((field): InputFault => ({ field: field.slice(0, 60), message: 'is not a field of a shipment' }))
  const wrong = Object.entries(FIELDS).flatMap(([field, check]): InputFault[] => {
    const message = check(Object.hasOwn(given, field) ? given[field] : undefined)
    return message === undefined ? [] : [{ field, message }]
  })
  const faults = [...unknown, ...wrong]
  if (faults.length === 0 && given.origin === given.destination) {
    faults.push({ field: 'destination', message: 'must be another port than the origin' })
  }
  if (faults.length > 0) throw new InputError(faults)
  return given as unknown as ShipmentOrder
}

function matches(pattern: RegExp, message: string): Check {
  return (value) => (typeof value === 'string' && pattern.test(value) ? undefined : message)
}

function wholeNumber(low: number, high: number): Check {
  return (value) =>
    Number.isInteger(value) && (value as number) >= low && (value as number) <= high
      ? undefined
      : `must be a whole number from ${low} to ${high}`
}
