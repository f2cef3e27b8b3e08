import { Hono } from 'hono'
import { setCookie } from 'hono/cookie'
import type { Rowhouse } from 'rowhouse'
import { loadCompany } from '../domain/company.ts'
import { findPerson, listPeople } from '../domain/people.ts'
import { problem } from './problem.ts'
import { SESSION_COOKIE, SESSION_HOURS, signSession } from './session.ts'
import { SignInPage } from './views/sign-in.tsx'

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * Signing in without a password, for the demonstration. A real application puts its identity provider here.
 *
 * The cookie has no `__Host-` prefix because the demonstration runs without TLS.
 */
export function createSignIn(rowhouse: Rowhouse, sessionKey: Buffer): Hono {
  const signIn = new Hono()
  const { db } = rowhouse
  signIn.get('/', async (c) => {
    const [company, people] = await Promise.all([loadCompany(db), listPeople(db)])
    return c.html(<SignInPage company={company} people={people} />)
  })
  signIn.post('/', async (c) => {
    const { person: id } = await c.req.parseBody()
    const person = typeof id === 'string' && UUID.test(id) ? await findPerson(db, id) : undefined
    if (person === undefined) return problem(c, 400, 'ERR_INPUT_INVALID', 'Choose one of the people of this company')
    const facts = { tenantId: rowhouse.currentTenant().id, personId: person.id }
    setCookie(c, SESSION_COOKIE, signSession(facts, sessionKey, Date.now()), {
      httpOnly: true,
      sameSite: 'Lax',
      path: '/',
      maxAge: SESSION_HOURS * 3600,
    })
    return c.redirect('/', 303)
  })
  return signIn
}
