type Fetch = (request: Request, env?: object) => Response | Promise<Response>

/**
 * Sends the bare host to the platform's own pages and everything else to the application, where Rowhouse decides whose
 * host it is. A strict match: whatever is odd about a host is for Rowhouse to refuse.
 */
export function hostRouter(options: {
  readonly base: string
  readonly platform: Fetch
  readonly application: Fetch
}): Fetch {
  const { base, platform, application } = options
  return (request, env) => {
    const host = request.headers
      .get('host')
      ?.toLowerCase()
      .replace(/:\d{1,5}$/, '')
    return host === base ? platform(request, env) : application(request, env)
  }
}
