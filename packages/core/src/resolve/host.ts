import { isIP } from 'node:net'
import { type CheckedRequest, malformed, onlyHeader, type RequestFacts } from './request-facts.ts'

const MAX_HOST_LENGTH = 253
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const PORT = /^[0-9]{1,5}$/

/**
 * Checks a request before anything is looked up and returns it with its canonical host.
 *
 * Refused: no Host or several, a host with anything but letters, digits, hyphens and dots (so no percent, `@`, comma,
 * space, non-ASCII), a bad port, an absolute-form target for another host, CONNECT and asterisk form.
 *
 * @throws {ResolveError} `ERR_REQUEST_MALFORMED`
 * @see RFC 9112 section 3.2
 */
export function checkRequest(facts: RequestFacts): CheckedRequest {
  const host = canonicalHost(requireHost(facts))
  assertTarget(facts, host)
  return { ...facts, host, header: (name) => onlyHeader(facts.rawHeaders, name) }
}

function requireHost({ rawHeaders }: RequestFacts): string {
  const host = onlyHeader(rawHeaders, 'host')
  // HTTP/2 sends this instead of Host; a proxy that translates may leave both.
  const authority = onlyHeader(rawHeaders, ':authority')
  if (host !== undefined && authority !== undefined && host !== authority) throw malformed('it has two hosts')
  const value = host ?? authority
  if (value === undefined || value === '') throw malformed('it has no Host')
  return value
}

/** Returns a host in lower case, without port and one trailing dot. @throws {ResolveError} `ERR_REQUEST_MALFORMED` */
export function canonicalHost(value: string): string {
  const bracketed = /^\[([0-9a-fA-F:.]+)\](?::(.*))?$/.exec(value)
  if (bracketed !== null) {
    assertPort(bracketed[2])
    if (isIP(bracketed[1] ?? '') !== 6) throw malformed('its Host is no address')
    return `[${bracketed[1]?.toLowerCase()}]`
  }
  const colon = value.indexOf(':')
  if (colon !== -1) assertPort(value.slice(colon + 1))
  const name = (colon === -1 ? value : value.slice(0, colon)).toLowerCase().replace(/\.$/, '')
  if (name.length === 0 || name.length > MAX_HOST_LENGTH) throw malformed('its Host is empty or too long')
  // toLowerCase() turns the Kelvin sign into "k": only ASCII may have come in.
  if (!/^[\x21-\x7e]+$/.test(value) || !name.split('.').every((label) => LABEL.test(label))) {
    throw malformed('its Host holds characters or labels no host name has')
  }
  return name
}

function assertPort(port: string | undefined): void {
  if (port === undefined) return
  if (!PORT.test(port) || Number(port) === 0 || Number(port) > 65_535)
    throw malformed('the port of its Host is no port')
}

function assertTarget({ method, target }: RequestFacts, host: string): void {
  if (method === 'CONNECT' || target === '*') throw malformed('it asks for a tunnel or for the server as a whole')
  if (target.startsWith('/')) return
  const absolute = /^https?:\/\/([^/?#]+)/i.exec(target)
  if (absolute === null) throw malformed('its target is neither a path nor a URL')
  if (canonicalHost(absolute[1] ?? '') !== host) throw malformed('its target names another host than its Host header')
}
