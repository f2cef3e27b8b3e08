import { type Context, Hono } from 'hono'
import { deleteCookie } from 'hono/cookie'
import type { Rowhouse } from 'rowhouse'
import { loadBroker } from '../domain/broker.ts'
import { acceptInvitation, findByPassword, findInvited } from '../domain/members.ts'
import { MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from '../domain/passwords.ts'
import { readInvitation } from '../platform/invitation.ts'
import { readFields } from './request-input.ts'
import { SESSION_COOKIE } from './session.ts'
import { SignInPage, WelcomePage } from './views/sign-in.tsx'
import { startSession } from './visitor.ts'

/** Signing in with a password, and the first visit of somebody who was invited. */
export function createSignIn(rowhouse: Rowhouse, key: Buffer): Hono {
  const signIn = new Hono()
  const { db } = rowhouse
  const enter = (c: Context, memberId: string) => {
    startSession(c, rowhouse.currentTenant().id, memberId, key)
    return c.redirect('/', 303)
  }

  signIn.get('/sign-in', async (c) => c.html(<SignInPage broker={await loadBroker(db)} />))
  signIn.post('/sign-in', async (c) => {
    const { email, password } = await readFields(c)
    const known = typeof email === 'string' && typeof password === 'string'
    const member = known ? await findByPassword(db, email, password) : undefined
    if (member !== undefined) return enter(c, member.id)
    return c.html(<SignInPage broker={await loadBroker(db)} fault="No such address and password here." />, 401)
  })
  signIn.post('/sign-out', (c) => {
    deleteCookie(c, SESSION_COOKIE, { path: '/' })
    return c.redirect('/sign-in', 303)
  })

  const findGuest = async (token: unknown) => {
    const email = typeof token === 'string' ? readInvitation(token, rowhouse.currentTenant().id, key) : undefined
    return email === undefined ? undefined : findInvited(db, email)
  }
  signIn.get('/welcome', async (c) => {
    const token = c.req.query('token')
    const guest = await findGuest(token)
    const page = <WelcomePage broker={await loadBroker(db)} guest={guest} token={token ?? ''} />
    return c.html(page, guest === undefined ? 410 : 200)
  })
  signIn.post('/welcome', async (c) => {
    const { token, password } = await readFields(c)
    const guest = await findGuest(token)
    const good =
      typeof password === 'string' && password.length >= MIN_PASSWORD_LENGTH && password.length <= MAX_PASSWORD_LENGTH
    const member = guest !== undefined && good ? await acceptInvitation(db, guest.email, password) : undefined
    if (member !== undefined) return enter(c, member.id)
    const fault = `The password must have ${MIN_PASSWORD_LENGTH} to ${MAX_PASSWORD_LENGTH} characters.`
    const page = <WelcomePage broker={await loadBroker(db)} guest={guest} token={String(token)} fault={fault} />
    return c.html(page, guest === undefined ? 410 : 400)
  })
  return signIn
}
