import { ResolveError } from '../errors.ts'

/** What is known of a request before anything is believed: framework-neutral, nothing decoded or joined. */
export interface RequestFacts {
  readonly method: string
  /** The request target as it stood in the request line, e.g. `/a?b=c`; untrusted. */
  readonly target: string
  /** Names and values in turn, as received, duplicates kept; untrusted. */
  readonly rawHeaders: readonly string[]
  /** Address of the peer of this connection, not of any header. */
  readonly remoteAddress: string | undefined
}

/** The part of Node's IncomingMessage that is read. */
export interface NodeRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** What Express and Connect keep of `url` where a mounted router shortens it. */
  readonly originalUrl?: string | undefined
  readonly rawHeaders: readonly string[]
  readonly socket?: { readonly remoteAddress?: string | undefined } | undefined
}

/** The part of a Web Request that is read. */
export interface WebRequest {
  readonly method: string
  readonly url: string
  readonly headers: { forEach(callback: (value: string, name: string) => void): void; has(name: string): boolean }
}

export function factsFromNode(request: NodeRequest): RequestFacts {
  return {
    method: request.method ?? 'GET',
    target: request.originalUrl ?? request.url ?? '/',
    rawHeaders: request.rawHeaders,
    remoteAddress: request.socket?.remoteAddress,
  }
}

/**
 * Reads a Web Request. Its headers have lost duplicates (joined with a comma, which no host may hold), and where the
 * runtime keeps the host in the URL only, it is taken from there.
 */
export function factsFromWeb(request: WebRequest, remoteAddress?: string): RequestFacts {
  const url = new URL(request.url)
  const rawHeaders: string[] = []
  request.headers.forEach((value, name) => {
    rawHeaders.push(name, value)
  })
  if (!request.headers.has('host')) rawHeaders.push('host', url.host)
  return { method: request.method, target: url.pathname + url.search, rawHeaders, remoteAddress }
}

/** A request whose host and headers have been checked; what sources get. */
export interface CheckedRequest extends RequestFacts {
  /** Canonical host: lower case, no port, no trailing dot. */
  readonly host: string
  /** Returns the only value of a header, or undefined. @throws {ResolveError} `ERR_REQUEST_MALFORMED` when it came twice */
  header(name: string): string | undefined
}

/** Returns all values of a header as received. */
function headerValues(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === name) values.push(rawHeaders[i + 1] ?? '')
  }
  return values
}

/** Returns the only value of a header. @throws {ResolveError} `ERR_REQUEST_MALFORMED` when it came more than once */
export function onlyHeader(rawHeaders: readonly string[], name: string): string | undefined {
  const values = headerValues(rawHeaders, name)
  if (values.length > 1) throw malformed(`the header "${name}" came ${values.length} times`)
  return values[0]
}

export function malformed(found: string): ResolveError {
  return new ResolveError('ERR_REQUEST_MALFORMED', `Cannot tell the tenant of this request: ${found}`)
}
