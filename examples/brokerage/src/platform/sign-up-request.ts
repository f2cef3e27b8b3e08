import { findSlugFault } from 'rowhouse'
import { InputError, type InputFault, readText } from '../domain/input-error.ts'
import { PLANS, type Plan } from './placement.ts'

export interface SignUpRequest {
  readonly slug: string
  readonly name: string
  readonly plan: Plan
  readonly currency: string
  readonly administrator: { readonly email: string; readonly name: string }
}

/** @throws {InputError} with every field that cannot be used */
export function parseSignUp(value: unknown): SignUpRequest {
  const fields = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  const faults: InputFault[] = []
  const slug = typeof fields.slug === 'string' ? fields.slug.trim() : ''
  const slugFault = findSlugFault(slug)
  if (slugFault !== undefined) faults.push({ field: 'slug', message: `cannot be used: ${slugFault}` })
  const plan = PLANS.find((each) => each === (fields.plan ?? 'starter'))
  if (plan === undefined) faults.push({ field: 'plan', message: `must be one of ${PLANS.join(', ')}` })
  const currency = typeof fields.currency === 'string' && fields.currency !== '' ? fields.currency : 'EUR'
  if (!/^[A-Z]{3}$/.test(currency)) faults.push({ field: 'currency', message: 'must be three letters, e.g. EUR' })
  const email = readText(fields.email, 'email', 200, faults).toLowerCase()
  if (email !== '' && !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email)) {
    faults.push({ field: 'email', message: 'must be an e-mail address' })
  }
  const name = readText(fields.name, 'name', 200, faults)
  const person = readText(fields.person, 'person', 100, faults)
  if (faults.length > 0 || plan === undefined) throw new InputError(faults)
  return { slug, name, plan, currency, administrator: { email, name: person } }
}

/** @throws {InputError} when it is missing, or longer or odder than a key needs to be */
export function requireIdempotencyKey(key: string | undefined): string {
  if (key !== undefined && /^[\x21-\x7e]{8,100}$/.test(key)) return key
  throw new InputError([
    {
      field: 'idempotency-key',
      message: 'must be 8 to 100 printable ASCII characters, another one for each new sign-up',
    },
  ])
}
