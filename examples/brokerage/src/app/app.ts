import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { csrf } from 'hono/csrf'
import { HTTPException } from 'hono/http-exception'
import type { Logger, Rowhouse } from 'rowhouse'
import { tenantFromRequest } from 'rowhouse/hono'
import { MAX_BOOK_BYTES } from '../domain/book-import.ts'
import type { OwnDomain } from '../platform/own-domain.ts'
import { createApi } from './api.ts'
import { createPages } from './pages.tsx'
import { answerProblem, toProblem } from './problem.ts'
import { createSignIn } from './sign-in.tsx'
import { STYLE } from './views/style.ts'
import { type BrokerageEnv, visitorFromSession } from './visitor.ts'

export interface BrokerageAppOptions {
  readonly rowhouse: Rowhouse
  /** Signs sessions and invitations; at least 32 bytes. */
  readonly secretKey: Buffer
  readonly ownDomain: OwnDomain
  readonly log: Logger
}

/** A form with a file is a little larger than the file. */
const MAX_BODY_BYTES = MAX_BOOK_BYTES + 65_536

/**
 * The brokers' application: one program for all of them, wherever their data lives. Its body is the order of the walls.
 *
 * 1. Which broker (Rowhouse, from the host or a key), 2. may this form be posted, 3. who is it, 4. the routes, none of
 * which knows that there are tenants.
 */
export function createBrokerageApp(options: BrokerageAppOptions): Hono<BrokerageEnv> {
  const { rowhouse, secretKey, ownDomain, log } = options
  const app = new Hono<BrokerageEnv>()
  app.onError((error, c) => {
    const problem = toProblem(error)
    if (problem.status >= 500) log.error({ err: error, path: c.req.path }, 'request failed')
    return answerProblem(c, problem)
  })
  app.use(async (c, next) => {
    await next()
    c.header('content-security-policy', CONTENT_POLICY)
    c.header('x-content-type-options', 'nosniff')
    c.header('referrer-policy', 'no-referrer')
    c.header('cache-control', 'no-store')
  })
  app.use(tenantFromRequest(rowhouse))
  app.use(csrf())
  app.use(bodyLimit({ maxSize: MAX_BODY_BYTES, onError: refuseLargeBody }))
  app.get('/style.css', (c) => c.text(STYLE, 200, { 'content-type': 'text/css; charset=utf-8' }))
  app.route('/', createSignIn(rowhouse, secretKey))
  app.use(visitorFromSession(rowhouse, secretKey))
  app.route('/api', createApi(rowhouse))
  app.route('/', createPages(rowhouse, ownDomain, log))
  return app
}

function refuseLargeBody(): never {
  throw new HTTPException(413, { message: `The body has more than ${MAX_BODY_BYTES} bytes` })
}

/** No script, nothing from elsewhere. Inline styles carry a broker's colour. */
export const CONTENT_POLICY = [
  `default-src 'none'`,
  `style-src 'self' 'unsafe-inline'`,
  'img-src data:',
  `form-action 'self'`,
  `base-uri 'none'`,
  `frame-ancestors 'none'`,
].join('; ')
