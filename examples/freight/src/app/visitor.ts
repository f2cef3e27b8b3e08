/** Who is looking: decided after Rowhouse has decided whose data this is about. */

import type { Context, MiddlewareHandler } from 'hono'
import { getCookie } from 'hono/cookie'
import type { Rowhouse } from 'rowhouse'
import { findDirector, findPerson, type Person } from '../domain/people.ts'
import { problem } from './problem.ts'
import { readSession, SESSION_COOKIE } from './session.ts'

/** A person who signed in, or a program with an API key (whose branches the key itself limits). */
export type Visitor = { readonly kind: 'person'; readonly person: Person } | { readonly kind: 'key' }

export interface FreightEnv {
  Variables: { visitor: Visitor; startedMs: number }
}

export interface VisitorOptions {
  readonly rowhouse: Rowhouse
  readonly sessionKey: Buffer
  /** Whether somebody without a session is refused, or taken for the director as in the demonstration. */
  readonly anonymous: 'refuse' | 'director'
}

/**
 * Narrows the request's tenant context to its visitor: actor and branches are sealed, so from here on PostgreSQL shows
 * a branch manager that branch, whatever the SQL says. Must come after `tenantFromRequest`.
 */
export function visitorFromSession(options: VisitorOptions): MiddlewareHandler<FreightEnv> {
  return async function visitorFromSession(c, next) {
    c.set('startedMs', performance.now())
    // A key has passed the gate, which set its own actor and branches; a cookie beside it must not widen them.
    if (carriesKey(c)) {
      c.set('visitor', { kind: 'key' })
      return next()
    }
    const person = await findVisitor(c, options)
    if (person === undefined) return refuseStranger(c)
    c.set('visitor', { kind: 'person', person })
    const tenant = options.rowhouse.currentTenant().slug
    const units = person.branch === undefined ? {} : { units: [person.branch.id] }
    return options.rowhouse.withTenant({ tenant, actor: `user:${person.id}`, ...units }, () => next())
  }
}

function carriesKey(c: Context): boolean {
  return c.req.header('x-api-key') !== undefined || c.req.header('authorization') !== undefined
}

/** Role and branch are read at each request, not taken from the cookie: who loses a role loses it now. */
async function findVisitor(
  c: Context,
  { rowhouse, sessionKey, anonymous }: VisitorOptions,
): Promise<Person | undefined> {
  const cookie = getCookie(c, SESSION_COOKIE)
  const personId = cookie && readSession(cookie, rowhouse.currentTenant().id, sessionKey, Date.now())
  if (personId) return findPerson(rowhouse.db, personId)
  return anonymous === 'director' ? findDirector(rowhouse.db) : undefined
}

function refuseStranger(c: Context) {
  if (c.req.path.startsWith('/api/')) return problem(c, 401, 'ERR_SIGN_IN_REQUIRED', 'Sign in or send an API key')
  return c.redirect('/sign-in', 303)
}
