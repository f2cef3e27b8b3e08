/** The sign-in cookie: who somebody is, at which broker, until when; signed, not encrypted. */

import { createHmac, timingSafeEqual } from 'node:crypto'

export const SESSION_COOKIE = 'brokerage_session'
export const SESSION_HOURS = 12

export interface SessionFacts {
  readonly tenantId: string
  readonly memberId: string
}

/** @param key  secret of at least 32 bytes */
export function signSession({ tenantId, memberId }: SessionFacts, key: Buffer, nowMs: number): string {
  const body = `${tenantId}.${memberId}.${Math.floor(nowMs / 1000) + SESSION_HOURS * 3600}`
  return `${body}.${mac(body, key)}`
}

/** Returns the member's id; undefined when the cookie is forged, expired, or signed at another broker's. */
export function readSession(cookie: string, tenantId: string, key: Buffer, nowMs: number): string | undefined {
  const [forTenant, memberId, expiresS, given, ...rest] = cookie.split('.')
  if (forTenant === undefined || memberId === undefined || given === undefined || rest.length > 0) return undefined
  const [wanted, found] = [Buffer.from(mac(`${forTenant}.${memberId}.${expiresS}`, key)), Buffer.from(given)]
  if (wanted.length !== found.length || !timingSafeEqual(wanted, found)) return undefined
  return forTenant === tenantId && Number(expiresS) * 1000 > nowMs ? memberId : undefined
}

function mac(body: string, key: Buffer): string {
  return createHmac('sha256', key).update(`brokerage session v1|${body}`).digest('base64url')
}
