import { Hono } from 'hono'
import { csrf } from 'hono/csrf'
import type { Logger } from 'pino'
import type { Rowhouse } from 'rowhouse'
import { tenantFromRequest } from 'rowhouse/hono'
import { createApi } from './api.ts'
import { createPages, createShowPage, type ShowPage } from './pages.tsx'
import { presentError } from './problem.ts'
import { createSignIn } from './sign-in.tsx'
import { STYLE } from './views/style.ts'
import { type FreightEnv, visitorFromSession } from './visitor.ts'

export interface FreightAppOptions {
  readonly rowhouse: Rowhouse
  /** Signs the session cookies; at least 32 bytes. */
  readonly sessionKey: Buffer
  readonly log: Logger
  /** What somebody without a session is. The demonstration takes them for the director. @defaultValue 'refuse' */
  readonly anonymous?: 'refuse' | 'director'
  /** Where pages of the application may be framed from, as in a Content-Security-Policy. @defaultValue nowhere */
  readonly frameAncestors?: string
  /** The attack laboratory. Only the demonstration gives one. */
  readonly lab?: (show: ShowPage) => Hono<FreightEnv>
}

/** Paths that are served whoever asks, and show nothing of a tenant. */
const STYLE_PATH = '/style.css'

/**
 * The freight application: one program for all tenants. Its body is the order of the walls.
 *
 * 1. Which tenant (Rowhouse, from the host or a key), 2. may this form be posted, 3. who is it and which branches,
 * 4. the routes, none of which knows that there are tenants.
 */
export function createFreightApp(options: FreightAppOptions): Hono<FreightEnv> {
  const { rowhouse, sessionKey, log, anonymous = 'refuse', frameAncestors = `'none'`, lab } = options
  const app = new Hono<FreightEnv>()
  const show = createShowPage(rowhouse, lab !== undefined)

  app.onError((error, c) => {
    const answer = presentError(c, error)
    if (answer.status >= 500) log.error({ err: error, path: c.req.path }, 'request failed')
    return answer
  })
  app.use(async (c, next) => {
    await next()
    c.header('content-security-policy', contentPolicy(frameAncestors))
    c.header('x-content-type-options', 'nosniff')
    c.header('referrer-policy', 'no-referrer')
  })
  app.use(tenantFromRequest(rowhouse))
  app.use(csrf())
  app.get(STYLE_PATH, (c) =>
    c.text(STYLE, 200, { 'content-type': 'text/css; charset=utf-8', 'cache-control': 'max-age=60' }),
  )
  app.route('/sign-in', createSignIn(rowhouse, sessionKey))
  app.use(visitorFromSession({ rowhouse, sessionKey, anonymous }))
  app.route('/api', createApi(rowhouse))
  if (lab !== undefined) app.route('/lab', lab(show))
  app.route('/', createPages(rowhouse, show))
  return app
}

/** No script, nothing from elsewhere. Inline styles carry a tenant's colour and the width of bars. */
function contentPolicy(frameAncestors: string): string {
  return [
    `default-src 'none'`,
    `style-src 'self' 'unsafe-inline'`,
    'img-src data:',
    `form-action 'self'`,
    `base-uri 'none'`,
    `frame-ancestors ${frameAncestors}`,
  ].join('; ')
}
