/** Who is looking: decided after Rowhouse has decided whose data this is about. */

import type { Context, MiddlewareHandler } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import type { Rowhouse } from 'rowhouse'
import { findMember, type Member } from '../domain/members.ts'
import { answerProblem } from './problem.ts'
import { readSession, SESSION_COOKIE, SESSION_HOURS, signSession } from './session.ts'

/** A person who signed in, or a program with an API key. */
export type Visitor = { readonly kind: 'person'; readonly member: Member } | { readonly kind: 'key' }

export interface BrokerageEnv {
  Variables: { visitor: Visitor }
}

/** Lets nobody past who has neither a session of this broker nor a key, and puts the actor into the seal. */
export function visitorFromSession(rowhouse: Rowhouse, sessionKey: Buffer): MiddlewareHandler<BrokerageEnv> {
  return async function visitorFromSession(c, next) {
    // A key has passed the gate, which set its own actor.
    if (c.req.header('x-api-key') !== undefined || c.req.header('authorization') !== undefined) {
      c.set('visitor', { kind: 'key' })
      return next()
    }
    const tenant = rowhouse.currentTenant()
    const cookie = getCookie(c, SESSION_COOKIE)
    const memberId = cookie && readSession(cookie, tenant.id, sessionKey, Date.now())
    const member = memberId ? await findMember(rowhouse.db, memberId) : undefined
    if (member === undefined) return refuseStranger(c)
    c.set('visitor', { kind: 'person', member })
    return rowhouse.withTenant({ tenant: tenant.slug, actor: `member:${member.id}` }, () => next())
  }
}

function refuseStranger(c: Context): Response {
  if (!c.req.path.startsWith('/api/')) return c.redirect('/sign-in', 303)
  return answerProblem(c, { status: 401, code: 'ERR_SIGN_IN_REQUIRED', detail: 'Sign in or send an API key' })
}

/** Gives the browser its cookie. Without `Secure` and `__Host-`, because the example runs without TLS. */
export function startSession(c: Context, tenantId: string, memberId: string, key: Buffer): void {
  setCookie(c, SESSION_COOKIE, signSession({ tenantId, memberId }, key, Date.now()), {
    httpOnly: true,
    sameSite: 'Lax',
    path: '/',
    maxAge: SESSION_HOURS * 3600,
  })
}
