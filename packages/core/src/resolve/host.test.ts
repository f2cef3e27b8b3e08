import { describe, expect, it } from 'vitest'
import { checkRequest } from './host.ts'
import type { RequestFacts } from './request-facts.ts'

function facts(rawHeaders: readonly string[], target = '/', method = 'GET'): RequestFacts {
  return { method, target, rawHeaders, remoteAddress: undefined }
}

describe('checkRequest() returns the canonical host', () => {
  it.each([
    ['acme.example.com', 'acme.example.com'],
    ['ACME.Example.COM', 'acme.example.com'],
    ['acme.example.com.', 'acme.example.com'],
    ['acme.example.com:8443', 'acme.example.com'],
    ['acme.example.com.:65535', 'acme.example.com'],
    ['localhost:1', 'localhost'],
    ['127.0.0.1:80', '127.0.0.1'],
    ['[::1]:80', '[::1]'],
    ['[2001:DB8::A]', '[2001:db8::a]'],
    [`${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`, undefined],
  ])('of %j', (host, wanted = host) => {
    expect(checkRequest(facts(['Host', host])).host).toBe(wanted)
  })

  it('from the authority of HTTP/2', () => {
    expect(checkRequest(facts([':authority', 'acme.test'])).host).toBe('acme.test')
    expect(checkRequest(facts([':authority', 'acme.test', 'host', 'acme.test'])).host).toBe('acme.test')
  })

  it('when an absolute target names the same host', () => {
    expect(checkRequest(facts(['Host', 'acme.test'], 'HTTP://ACME.test.:80/x')).host).toBe('acme.test')
  })
})

describe('checkRequest() throws ERR_REQUEST_MALFORMED', () => {
  const label = 'its Host holds characters or labels no host name has'
  const length = 'its Host is empty or too long'
  const port = 'the port of its Host is no port'
  const elsewhere = 'its target names another host than its Host header'
  const cases: readonly (readonly [what: string, request: RequestFacts, found: string])[] = [
    ['no Host', facts([]), 'it has no Host'],
    ['an empty Host', facts(['Host', '']), 'it has no Host'],
    ['a dot', facts(['Host', '.']), length],
    ['a port alone', facts(['Host', ':80']), length],
    ['254 characters', facts(['Host', `${'a.'.repeat(126)}aa`]), length],
    ['two equal Hosts', facts(['Host', 'a.test', 'Host', 'a.test']), 'the header "host" came 2 times'],
    ['two Hosts in different case', facts(['host', 'a.test', 'HOST', 'b.test']), 'the header "host" came 2 times'],
    ['an authority and another Host', facts([':authority', 'a.test', 'host', 'b.test']), 'it has two hosts'],
    ['hosts joined by a comma', facts(['Host', 'a.test, b.test']), label],
    ['userinfo', facts(['Host', 'a.test@b.test']), label],
    ['a colon in userinfo', facts(['Host', 'a:b@c.test']), port],
    ['a percent', facts(['Host', '%61.test']), label],
    ['an underscore', facts(['Host', 'a_b.test']), label],
    ['a space', facts(['Host', 'a .test']), label],
    ['a line feed at the end', facts(['Host', 'a.test\n']), label],
    ['a NUL', facts(['Host', 'a\0.test']), label],
    ['a Kelvin sign, which lower-cases to k', facts(['Host', '\u212a.test']), label],
    ['a label of 64 characters', facts(['Host', `${'a'.repeat(64)}.test`]), label],
    ['two trailing dots', facts(['Host', 'a.test..']), label],
    ['a hyphen at an end', facts(['Host', 'a-.test']), label],
    ['an empty port', facts(['Host', 'a.test:']), port],
    ['port 0', facts(['Host', 'a.test:0']), port],
    ['port 65536', facts(['Host', 'a.test:65536']), port],
    ['a bad port after an address', facts(['Host', '[::1]:x']), port],
    ['an address that is none', facts(['Host', '[1::2::3]']), 'its Host is no address'],
    ['an IPv4 address in brackets', facts(['Host', '[127.0.0.1]']), 'its Host is no address'],
    ['CONNECT', facts(['Host', 'a.test'], 'a.test:80', 'CONNECT'), 'it asks for a tunnel or for the server as a whole'],
    ['an asterisk', facts(['Host', 'a.test'], '*', 'OPTIONS'), 'it asks for a tunnel or for the server as a whole'],
    ['an absolute target elsewhere', facts(['Host', 'a.test'], 'http://b.test/'), elsewhere],
    ['an absolute target with userinfo', facts(['Host', 'a.test'], 'http://a.test@b.test/'), label],
    ['a target that is no path', facts(['Host', 'a.test'], 'a.test/x'), 'its target is neither a path nor a URL'],
    ['an empty target', facts(['Host', 'a.test'], ''), 'its target is neither a path nor a URL'],
  ]
  it.each(cases)('for %s', (_what, request, found) => {
    expect(() => checkRequest(request)).toThrow(
      expect.objectContaining({
        code: 'ERR_REQUEST_MALFORMED',
        message: `Cannot tell the tenant of this request: ${found}`,
      }),
    )
  })
})

describe('header() of a checked request', () => {
  const request = checkRequest(facts(['Host', 'a.test', 'X-One', '1', 'x-two', 'a', 'X-TWO', 'b']))

  it('returns the only value, whatever the case of its name', () => {
    expect(request.header('x-one')).toBe('1')
    expect(request.header('x-none')).toBeUndefined()
  })

  it('refuses to choose between two', () => {
    expect(() => request.header('x-two')).toThrow(
      expect.objectContaining({
        code: 'ERR_REQUEST_MALFORMED',
        message: 'Cannot tell the tenant of this request: the header "x-two" came 2 times',
      }),
    )
  })
})
