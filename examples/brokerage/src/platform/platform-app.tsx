import { randomUUID } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { csrf } from 'hono/csrf'
import { HTTPException } from 'hono/http-exception'
import { isRowhouseError, type Logger, type Rowhouse } from 'rowhouse'
import type { ControlPlane } from 'rowhouse-server'
import { CONTENT_POLICY } from '../app/app.ts'
import { answerProblem, NOT_FOUND, type Problem, toProblem } from '../app/problem.ts'
import { readFields } from '../app/request-input.ts'
import { SignedUpPage, SignUpPage } from '../app/views/sign-up.tsx'
import { STYLE } from '../app/views/style.ts'
import { findInvited } from '../domain/members.ts'
import { signInvitation } from './invitation.ts'
import { parseSignUp, requireIdempotencyKey, type SignUpRequest } from './sign-up-request.ts'

/** A letter to the first person of a broker. */
export interface InvitationLetter {
  readonly to: string
  readonly name: string
  readonly broker: string
  /** Where to choose a password; good for once. A secret of the person it is sent to. */
  readonly url: string
}

export interface PlatformAppOptions {
  readonly plane: ControlPlane
  readonly rowhouse: Rowhouse
  /** Signs invitations; at least 32 bytes. */
  readonly secretKey: Buffer
  /** Brokers are at `<slug>.<base>`. */
  readonly base: string
  /** Returns the URL of a broker's host, with the port where there is one. */
  readonly urlOf: (host: string) => string
  readonly sendInvitation: (letter: InvitationLetter) => Promise<void>
  readonly log: Logger
}

const MAX_BODY_BYTES = 16_384

/**
 * The platform's own pages: signing up. Lies outside of every tenant, and is the only part with an operator's rights.
 *
 * A public platform puts a limit of attempts and proof of the e-mail address in front of `/sign-up`.
 */
export function createPlatformApp(options: PlatformAppOptions): Hono {
  const { base, log } = options
  const app = new Hono()
  app.onError((error, c) => {
    const problem = toSignUpProblem(error)
    if (problem.status >= 500) log.error({ err: error }, 'sign-up failed')
    return answerProblem(c, problem)
  })
  app.use(async (c, next) => {
    await next()
    c.header('content-security-policy', CONTENT_POLICY)
    c.header('cache-control', 'no-store')
  })
  app.use(csrf())
  app.use(
    bodyLimit({
      maxSize: MAX_BODY_BYTES,
      onError: () => {
        throw new HTTPException(413, { message: `The body has more than ${MAX_BODY_BYTES} bytes` })
      },
    }),
  )
  app.get('/style.css', (c) => c.text(STYLE, 200, { 'content-type': 'text/css; charset=utf-8' }))
  app.get('/', (c) => c.html(<SignUpPage idempotencyKey={randomUUID()} base={base} />))
  app.post('/sign-up', async (c) => {
    const fields = await readFields(c)
    return isForm(c) ? answerForm(c, options, fields) : answerProgram(c, options, fields)
  })
  app.all('*', (c) => answerProblem(c, NOT_FOUND))
  return app
}

function isForm(c: Context): boolean {
  return !/^application\/json\b/i.test(c.req.header('content-type') ?? '')
}

async function answerProgram(c: Context, options: PlatformAppOptions, fields: Record<string, unknown>) {
  const key = requireIdempotencyKey(c.req.header('idempotency-key'))
  return c.json(await signUp(options, parseSignUp(fields), key), 201)
}

async function answerForm(c: Context, options: PlatformAppOptions, fields: Record<string, unknown>) {
  const key = typeof fields.idempotencyKey === 'string' ? fields.idempotencyKey : ''
  try {
    const request = parseSignUp(fields)
    const { url } = await signUp(options, request, requireIdempotencyKey(key))
    return c.html(<SignedUpPage name={request.name} url={url} email={request.administrator.email} />, 201)
  } catch (error) {
    const { status, detail } = toSignUpProblem(error as Error)
    if (status >= 500) throw error
    const values = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]))
    // Corrected, it is another request: under the old key it would be refused.
    return c.html(
      <SignUpPage idempotencyKey={randomUUID()} base={options.base} fault={detail} values={values} />,
      status,
    )
  }
}

export interface SignedUp {
  readonly broker: string
  readonly url: string
  readonly signIn: string
}

/** Makes the broker, or finds the one this key has made, and answers when somebody can sign in there. */
async function signUp(options: PlatformAppOptions, request: SignUpRequest, key: string): Promise<SignedUp> {
  const { plane, rowhouse, urlOf, base, secretKey, sendInvitation } = options
  const { slug, name, plan, currency, administrator } = request
  const idempotencyKey = `sign-up:${key}`
  const tenant = await plane.provision({ slug, name, plan, administrator, labels: { currency }, idempotencyKey })
  // Somebody may have tried the address before it was one, and this process would remember that for seconds.
  rowhouse.directory.invalidate(tenant.id)
  const url = urlOf(`${slug}.${base}`)
  const guest = await rowhouse.withTenant(slug, (db) => findInvited(db, administrator.email))
  if (guest !== undefined) {
    const token = signInvitation({ tenantId: tenant.id, email: guest.email }, secretKey)
    await sendInvitation({ to: guest.email, name: guest.name, broker: slug, url: `${url}/welcome?token=${token}` })
  }
  return { broker: slug, url, signIn: `${url}/sign-in` }
}

/** What may be said of a sign-up that failed. Whether a name is taken is no secret: the address itself tells. */
function toSignUpProblem(error: Error): Problem {
  if (!isRowhouseError(error)) return toProblem(error)
  const { code } = error
  switch (code) {
    case 'ERR_TENANT_SLUG_TAKEN':
      return { status: 409, code, detail: 'This short name is taken: choose another one' }
    case 'ERR_TENANT_SLUG_INVALID':
      return { status: 400, code, detail: error.message }
    case 'ERR_IDEMPOTENCY_KEY_REUSED':
      return { status: 409, code, detail: 'This sign-up cannot be made under this idempotency key: use a new one' }
    case 'ERR_PLACEMENT_IMPOSSIBLE':
      return { status: 503, code, detail: 'There is no room at the moment: try again later' }
    case 'ERR_HOOK_REFUSED':
      return { status: 502, code, detail: 'A system we depend on refused the sign-up; nothing was kept' }
    default:
      return toProblem(error)
  }
}
