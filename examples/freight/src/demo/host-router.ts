import type { Fetch } from './listen.ts'

const BARE_HOST = /^(?:localhost|127\.0\.0\.1)(?::\d{1,5})?$/i

/**
 * Sends the bare host to the landing page and everything else to the application, where Rowhouse decides whose host
 * it is. A strict match: whatever is odd about a host is for Rowhouse to refuse.
 */
export function hostRouter({ landing, application }: { landing: Fetch; application: Fetch }): Fetch {
  return (request, env) => {
    const host = request.headers.get('host') ?? ''
    return BARE_HOST.test(host) ? landing(request, env) : application(request, env)
  }
}
