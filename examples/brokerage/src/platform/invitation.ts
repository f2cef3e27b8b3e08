import { createHmac, timingSafeEqual } from 'node:crypto'

/** Who is invited, where. */
export interface Invitation {
  readonly tenantId: string
  readonly email: string
}

/**
 * Writes the token of an invitation: the same one whenever it is asked for, so that a sign-up that is repeated sends the
 * same letter. It is good until a password was chosen with it.
 *
 * @param key  secret of at least 32 bytes
 */
export function signInvitation({ tenantId, email }: Invitation, key: Buffer): string {
  const body = Buffer.from(email.toLowerCase()).toString('base64url')
  return `${body}.${mac(tenantId, body, key)}`
}

/** Returns whom a token invites to this tenant; undefined when it is forged, or another tenant's. */
export function readInvitation(token: string, tenantId: string, key: Buffer): string | undefined {
  const [body, given, ...rest] = token.split('.')
  if (body === undefined || given === undefined || rest.length > 0) return undefined
  const [wanted, found] = [Buffer.from(mac(tenantId, body, key)), Buffer.from(given)]
  if (wanted.length !== found.length || !timingSafeEqual(wanted, found)) return undefined
  return Buffer.from(body, 'base64url').toString()
}

function mac(tenantId: string, body: string, key: Buffer): string {
  return createHmac('sha256', key).update(`brokerage invitation v1|${tenantId}|${body}`).digest('base64url')
}
