/** The sign-in cookie of the demonstration: who somebody is, in which tenant, until when; signed, not encrypted. */

import { createHmac, timingSafeEqual } from 'node:crypto'

export const SESSION_COOKIE = 'freight_session'

export const SESSION_HOURS = 12

export interface SessionFacts {
  readonly tenantId: string
  readonly personId: string
}

/**
 * Writes the value of a session cookie.
 *
 * @param key  secret of at least 32 bytes
 * @param nowMs  milliseconds since 1970
 */
export function signSession({ tenantId, personId }: SessionFacts, key: Buffer, nowMs: number): string {
  const expiresS = Math.floor(nowMs / 1000) + SESSION_HOURS * 3600
  const body = `${tenantId}.${personId}.${expiresS}`
  return `${body}.${mac(body, key)}`
}

/**
 * Reads a session cookie in the tenant the request was resolved to.
 *
 * @returns the person's id; undefined when the cookie is forged, expired, or signed for another tenant: a cookie
 *   that travels to another tenant's host is worth nothing there
 */
export function readSession(cookie: string, tenantId: string, key: Buffer, nowMs: number): string | undefined {
  const [forTenant, personId, expiresS, given, ...rest] = cookie.split('.')
  if (forTenant === undefined || personId === undefined || given === undefined || rest.length > 0) return undefined
  const wanted = Buffer.from(mac(`${forTenant}.${personId}.${expiresS}`, key))
  const found = Buffer.from(given)
  if (wanted.length !== found.length || !timingSafeEqual(wanted, found)) return undefined
  if (forTenant !== tenantId || Number(expiresS) * 1000 <= nowMs) return undefined
  return personId
}

function mac(body: string, key: Buffer): string {
  return createHmac('sha256', key).update(`freight session v1|${body}`).digest('base64url')
}
