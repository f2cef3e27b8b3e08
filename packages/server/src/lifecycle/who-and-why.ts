import { TenantError } from 'rowhouse'

/** Why tenants are suspended, as the database knows it. */
export const SUSPENSION_KINDS = ['unpaid', 'abuse', 'request', 'security', 'other'] as const
export type SuspensionKind = (typeof SUSPENSION_KINDS)[number]

const MIN_REASON_LENGTH = 3
const MAX_REASON_LENGTH = 1_000
const MAX_PERSON_LENGTH = 200

/** @throws {TenantError} `ERR_CAUSE_INVALID` */
export function requireKind(kind: string, action: string): SuspensionKind {
  const known = SUSPENSION_KINDS.find((name) => name === kind)
  if (known !== undefined) return known
  throw refuse(action, `the kind of cause is "${kind}", wanted one of ${SUSPENSION_KINDS.join(', ')}`)
}

/** Returns the reason without blanks around it. @throws {TenantError} `ERR_CAUSE_INVALID` */
export function requireReason(reason: string | undefined, action: string): string {
  const text = (reason ?? '').trim()
  if (text.length >= MIN_REASON_LENGTH && text.length <= MAX_REASON_LENGTH) return text
  throw refuse(
    action,
    `the reason has ${text.length} characters, wanted ${MIN_REASON_LENGTH} to ${MAX_REASON_LENGTH}; say why, others will read it`,
  )
}

/** Returns who acts, without blanks around the name. @throws {TenantError} `ERR_CAUSE_INVALID` */
export function requirePerson(by: string, action: string): string {
  const name = by.trim()
  if (name.length >= 1 && name.length <= MAX_PERSON_LENGTH) return name
  throw refuse(action, `the name of who acts has ${name.length} characters, wanted 1 to ${MAX_PERSON_LENGTH}`)
}

function refuse(action: string, what: string): TenantError {
  return new TenantError('ERR_CAUSE_INVALID', `Cannot ${action}: ${what}`)
}
