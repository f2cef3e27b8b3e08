import { Hono } from 'hono'
import { csrf } from 'hono/csrf'
import { isRowhouseError, type Rowhouse } from 'rowhouse'
import { type PlatformReport, reportAcrossTenants } from '../domain/platform-report.ts'
import { LandingPage } from './views/landing.tsx'
import { STYLE } from './views/style.ts'

export interface LandingOptions {
  readonly rowhouse: Rowhouse
  readonly port: () => number
  readonly tenants: readonly { readonly slug: string; readonly name: string }[]
}

/**
 * The page at the bare host: what to try, two tenants side by side, and the operator's report over all tenants.
 *
 * It lies outside of every tenant, which is why it may ask for cross-tenant work at all. The demonstration listens
 * on loopback only; a platform of your own puts this behind its operators' sign-in.
 */
export function createLanding({ rowhouse, port, tenants }: LandingOptions): Hono {
  const landing = new Hono()
  const show = (report?: PlatformReport, refusal?: string) => {
    const page = { port: port(), tenants, ...(report ? { report } : {}), ...(refusal ? { refusal } : {}) }
    return <LandingPage {...page} />
  }
  landing.use(csrf())
  landing.use(async (c, next) => {
    await next()
    const frames = tenants.map(({ slug }) => `http://${slug}.localhost:${port()}`).join(' ')
    c.header(
      'content-security-policy',
      `default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:; frame-src ${frames}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    )
    c.header('cache-control', 'no-store')
    c.header('x-content-type-options', 'nosniff')
  })
  landing.get('/style.css', (c) => c.text(STYLE, 200, { 'content-type': 'text/css; charset=utf-8' }))
  landing.get('/', (c) => c.html(show()))
  landing.post('/report', async (c) => {
    const { reason } = await c.req.parseBody()
    const request = { reason: String(reason ?? ''), actor: 'demo operator', tenants: 'all' } as const
    try {
      return c.html(show(await reportAcrossTenants(rowhouse, request)))
    } catch (error) {
      if (!isRowhouseError(error) || error.code !== 'ERR_CROSS_TENANT_REFUSED') throw error
      return c.html(show(undefined, error.message), 400)
    }
  })
  landing.notFound((c) => c.text('There is no such thing here', 404))
  return landing
}
