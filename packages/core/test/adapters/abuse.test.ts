import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromApiKey } from '../../src/resolve/api-key.ts'
import { fromCustomDomain, fromSubdomain } from '../../src/resolve/from-host.ts'
import { fromTrustedHeader } from '../../src/resolve/from-trusted-header.ts'
import { frameworks, listen, type RunningApp } from './frameworks.ts'
import { createMemoryGate, keys, type MemoryGate } from './memory-gate.ts'
import { portOf, type RawAnswer, sendRaw } from './raw-http.ts'
import { createRoutes, type WatchedRoutes } from './routes.ts'

type Wanted = 'acme' | 400 | 401 | 403 | 404
type Case = readonly [what: string, bytes: Buffer, wanted: Wanted]

const bytes = (text: string) => Buffer.from(text, 'utf8')
const latin1 = (text: string) => Buffer.from(text, 'latin1')

/** A request whose header lines are given; `Connection: close` last, so that the answer has an end. */
function get(lines: readonly string[], target = '/whoami', version = '1.1', method = 'GET'): string {
  return [`${method} ${target} HTTP/${version}`, ...lines, 'Connection: close', '', ''].join('\r\n')
}

const host = (value: string) => bytes(get([`Host: ${value}`]))
const onAcme = (...lines: string[]) => bytes(get(['Host: acme.example.com', ...lines]))

const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.example.com`
const { acme, globex, dormant, nobody } = keys
const lastCharacter = acme.key.endsWith('A') ? 'B' : 'A'

const cases: readonly Case[] = [
  ['its own host', host('acme.example.com'), 'acme'],
  ['upper case', host('ACME.Example.COM'), 'acme'],
  ['a port', host('acme.example.com:8443'), 'acme'],
  ['a trailing dot', host('acme.example.com.'), 'acme'],
  ['a trailing dot and a port', host('acme.example.com.:80'), 'acme'],
  ['a domain of its own', host('portal.acme.test'), 'acme'],
  ['a domain of its own in mixed case', host('Portal.ACME.test:80'), 'acme'],
  ['its key on its host', onAcme(`X-Api-Key: ${acme.key}`), 'acme'],
  ['its key as bearer token', onAcme(`Authorization: bearer ${acme.key}`), 'acme'],
  ['its key on the base domain', bytes(get(['Host: example.com', `X-Api-Key: ${acme.key}`])), 'acme'],
  ['its key on a host of the platform', bytes(get(['Host: api.example.com', `X-Api-Key: ${acme.key}`])), 'acme'],
  ['X-Forwarded-Host of another', onAcme('X-Forwarded-Host: globex.example.com'), 'acme'],
  ['Forwarded of another', onAcme('Forwarded: host=globex.example.com'), 'acme'],
  ['X-Original-Host of another', onAcme('X-Original-Host: globex.example.com'), 'acme'],
  ['X-Rowhouse-Tenant of another', onAcme('X-Rowhouse-Tenant: globex'), 'acme'],
  ['X-Tenant-Id of another', onAcme('X-Tenant-Id: globex'), 'acme'],
  ['a query that names another', bytes(get(['Host: acme.example.com'], '/whoami?tenant=globex')), 'acme'],
  ['other credentials', onAcme('Authorization: Basic Z2xvYmV4OnNlY3JldA=='), 'acme'],

  ['no Host', bytes(get([])), 400],
  ['no Host in HTTP/1.0', bytes(get([], '/whoami', '1.0')), 400],
  ['an empty Host', host(''), 400],
  ['the same Host twice', bytes(get(['Host: acme.example.com', 'Host: acme.example.com'])), 400],
  ['two Hosts', bytes(get(['Host: acme.example.com', 'Host: globex.example.com'])), 400],
  ['two Hosts in different case', bytes(get(['Host: acme.example.com', 'hOST: globex.example.com'])), 400],
  ['a second, empty Host', bytes(get(['Host: acme.example.com', 'Host:'])), 400],
  ['two hosts in one', host('acme.example.com, globex.example.com'), 400],
  ['two hosts with a space', host('acme.example.com globex.example.com'), 400],
  ['a tab in the host', host('acme\t.example.com'), 400],
  ['userinfo', host('acme.example.com@globex.example.com'), 400],
  ['userinfo with password', host('x:y@acme.example.com'), 400],
  ['a percent-encoded letter', host('%61cme.example.com'), 400],
  ['a percent-encoded dot', host('acme%2eexample.com'), 400],
  ['an underscore', host('ac_me.example.com'), 400],
  ['a byte above ASCII', latin1(get(['Host: acm\u00e9.example.com'])), 400],
  ['a Kelvin sign', host('\u212aelvin.example.com'), 400],
  ['full-width letters', host('\uff41cme.example.com'), 400],
  ['an ideographic full stop', host('acme\u3002example.com'), 400],
  ['a soft hyphen', host('ac\u00adme.example.com'), 400],
  ['a zero-width space', host('acme\u200b.example.com'), 400],
  ['a NUL', host('acme\0.example.com'), 400],
  ['a DEL', host('acme\x7f.example.com'), 400],
  ['a port of letters', host('acme.example.com:http'), 400],
  ['port 0', host('acme.example.com:0'), 400],
  ['port 65536', host('acme.example.com:65536'), 400],
  ['a port of six digits', host('acme.example.com:000080'), 400],
  ['an empty port', host('acme.example.com:'), 400],
  ['two ports', host('acme.example.com:80:80'), 400],
  ['a negative port', host('acme.example.com:-1'), 400],
  ['more than 253 characters', host(`${'a'.repeat(20)}.${long}`), 400],
  ['a label of 64 characters', host(`${'a'.repeat(64)}.example.com`), 400],
  ['a leading dot', host('.acme.example.com'), 400],
  ['two dots', host('acme..example.com'), 400],
  ['two trailing dots', host('acme.example.com..'), 400],
  ['a leading hyphen', host('-acme.example.com'), 400],
  ['a trailing hyphen', host('acme-.example.com'), 400],
  ['a path in the host', host('acme.example.com/whoami'), 400],
  ['a query in the host', host('acme.example.com?x'), 400],
  ['a fragment in the host', host('acme.example.com#x'), 400],
  ['a backslash in the host', host('acme.example.com\\x'), 400],
  ['a scheme in the host', host('http://acme.example.com'), 400],
  ['quotes', host('"acme.example.com"'), 400],
  ['an asterisk', host('*.example.com'), 400],
  ['a semicolon', host('acme.example.com;x'), 400],
  ['a broken IPv6 address', host('[::1'), 400],
  ['an IPv6 address that is none', host('[::g]'), 400],
  ['an IPv6 address with a zone', host('[fe80::1%25lo]'), 400],
  ['a name two labels below the base', host('www.acme.example.com'), 400],
  ['an encoded international name', host('xn--cme-5cd.example.com'), 400],
  ['a label of one letter', host('a.example.com'), 400],
  [
    'an absolute target of another host',
    bytes(get(['Host: acme.example.com'], 'http://globex.example.com/whoami')),
    400,
  ],
  ['an absolute target with userinfo', bytes(get(['Host: acme.example.com'], 'http://x@acme.example.com/whoami')), 400],
  [
    'an absolute target of another scheme',
    bytes(get(['Host: acme.example.com'], 'ftp://acme.example.com/whoami')),
    400,
  ],
  ['the server as target', bytes(get(['Host: acme.example.com'], '*', '1.1', 'OPTIONS')), 400],
  ['a folded Host', bytes(get(['Host: acme', ' .example.com'])), 400],
  ['a space before the colon', bytes(get(['Host : acme.example.com'])), 400],
  ['a bare CR in the host', host('acme.example.com\rX: y'), 400],
  ['lines that end in LF only', bytes(get(['Host: acme.example.com']).replaceAll('\r\n', '\n')), 400],
  ['Content-Length and Transfer-Encoding', onAcme('Content-Length: 3', 'Transfer-Encoding: chunked'), 400],
  ['two Content-Lengths', onAcme('Content-Length: 0', 'Content-Length: 3'), 400],
  ['the same key twice', onAcme(`X-Api-Key: ${acme.key}`, `X-Api-Key: ${acme.key}`), 400],
  ['two keys in two places', onAcme(`X-Api-Key: ${acme.key}`, `Authorization: Bearer ${globex.key}`), 400],
  ['two Authorizations', onAcme(`Authorization: Bearer ${acme.key}`, `Authorization: Bearer ${acme.key}`), 400],

  ['the key of another tenant', onAcme(`X-Api-Key: ${globex.key}`), 401],
  ['the key of another tenant as bearer token', onAcme(`Authorization: Bearer ${globex.key}`), 401],
  ['the key of a suspended tenant', onAcme(`X-Api-Key: ${dormant.key}`), 401],
  ['the key of nobody', onAcme(`X-Api-Key: ${nobody.key}`), 401],
  ['the key of nobody on the base domain', bytes(get(['Host: example.com', `X-Api-Key: ${nobody.key}`])), 401],
  ['a good key on an unknown host', bytes(get(['Host: hooli.example.com', `X-Api-Key: ${acme.key}`])), 401],
  ['a bad key on an unknown host', bytes(get(['Host: hooli.example.com', `X-Api-Key: ${nobody.key}`])), 401],
  ['a bad key on a suspended host', bytes(get(['Host: dormant.example.com', `X-Api-Key: ${nobody.key}`])), 401],
  ['a mistyped key', onAcme(`X-Api-Key: ${acme.key.slice(0, -1)}${lastCharacter}`), 401],
  ['a key cut short', onAcme(`X-Api-Key: ${acme.key.slice(0, 30)}`), 401],
  ['a key with something behind it', onAcme(`X-Api-Key: ${acme.key}x`), 401],
  ['a key with SQL in it', onAcme(`X-Api-Key: rh_live_' or true --`), 401],
  ['two keys joined by a comma', onAcme(`X-Api-Key: ${acme.key}, ${acme.key}`), 401],
  ['an empty key', onAcme('X-Api-Key:'), 401],
  ['a bearer key of unknown kind', onAcme('Authorization: Bearer rh_test_x'), 401],
  ['a tenant header from outside', onAcme('X-Tenant: acme'), 401],
  ['a tenant header of another from outside', onAcme('X-Tenant: globex'), 401],

  ['an unknown subdomain', host('hooli.example.com'), 404],
  ['an unknown domain', host('portal.hooli.test'), 404],
  ['a domain that ends like the base', host('evilexample.com'), 404],
  ['a domain that begins like a tenant', host('acme.example.com.evil.test'), 404],
  ['the base domain', host('example.com'), 404],
  ['a host of the platform', host('www.example.com'), 404],
  ['a host of the platform that mail clients look for', host('autodiscover.example.com'), 404],
  ['an IPv4 address', host('127.0.0.1:8080'), 404],
  ['an IPv6 address', host('[::1]:8080'), 404],
  ['an address as one number', host('2130706433'), 404],
  ['localhost', host('localhost:3000'), 404],
  ['a name below a domain of its own', host('x.portal.acme.test'), 404],
  ['an unknown host in HTTP/1.0', bytes(get(['Host: hooli.example.com'], '/whoami', '1.0')), 404],
  ['an unknown host and an unknown route', bytes(get(['Host: hooli.example.com'], '/nowhere')), 404],

  ['a suspended tenant', host('dormant.example.com'), 403],
  ['a suspended tenant with its own key', bytes(get(['Host: dormant.example.com', `X-Api-Key: ${dormant.key}`])), 403],
]

describe.each(frameworks)('%s', (_name, start) => {
  let app: RunningApp
  let gate: MemoryGate
  let routes: WatchedRoutes
  const refusals = new Map<Wanted, RawAnswer>()

  beforeAll(async () => {
    gate = createMemoryGate([
      fromSubdomain({ base: 'example.com' }),
      fromCustomDomain({ exceptUnder: 'example.com' }),
      fromApiKey(),
      fromTrustedHeader({ header: 'x-tenant', proxies: ['10.0.0.0/8'] }),
    ])
    routes = createRoutes()
    app = await start(gate, routes)
  })
  afterAll(() => app.close())

  it.each(cases)('answers a request with %s', async (_what, request, wanted) => {
    const [servedBefore, askedBefore] = [routes.served.length, gate.asked.length]
    const answer = await sendRaw(portOf(app.server), request)
    if (wanted === 'acme') {
      expect(answer).toMatchObject({ status: 200, body: expect.stringContaining('"after":"acme"') })
      expect(routes.served.slice(servedBefore)).toEqual(['acme'])
      return
    }
    expect(answer.status).toBe(wanted)
    expect(routes.served.length).toBe(servedBefore)
    if (wanted === 400) expect(gate.asked.length).toBe(askedBefore)
    // What the server or the framework refuses on its own never reaches the adapter, and tells nothing of tenants.
    if (wanted === 400 && !answer.head.includes('application/problem+json')) return
    const first = refusals.get(wanted) ?? answer
    refusals.set(wanted, first)
    expect(answer).toEqual(first)
    expect(JSON.parse(answer.body).status).toBe(wanted)
  })

  it('opens no tunnel', async () => {
    const answer = await sendRaw(
      portOf(app.server),
      get(['Host: acme.example.com'], 'acme.example.com:80', '1.1', 'CONNECT'),
    )
    expect([0, 400]).toContain(answer.status)
  })

  it('answers each kind of refusal in one way, with its code and no word about why', () => {
    expect([...refusals].map(([status, { body }]) => [status, JSON.parse(body)])).toEqual([
      [400, { type: 'about:blank', title: 'Bad Request', status: 400, code: 'ERR_REQUEST_MALFORMED' }],
      [401, { type: 'about:blank', title: 'Unauthorized', status: 401, code: 'ERR_CREDENTIAL_INVALID' }],
      [404, { type: 'about:blank', title: 'Not Found', status: 404, code: 'ERR_TENANT_NOT_FOUND' }],
      [403, { type: 'about:blank', title: 'Forbidden', status: 403, code: 'ERR_TENANT_SUSPENDED' }],
    ])
    for (const { head } of refusals.values()) expect(head.toLowerCase()).toContain('cache-control: no-store')
  })

  it('tells the log the reason it keeps from the client', () => {
    const messages = gate.refusals.map((error) => (error as Error).message)
    expect(messages).toContain('Cannot tell the tenant of this request: subdomain and api-key name different ones')
    expect(messages).toContain('Cannot serve "hooli": no tenant answers to this slug')
    expect(messages).toContain('Cannot tell the tenant of this request: the header "host" came 2 times')
  })
})

describe('a resolver without these checks (control)', () => {
  let app: RunningApp
  beforeAll(async () => {
    const server = createServer((request, response) => {
      const named = [request.headers['x-forwarded-host'] ?? request.headers.host ?? ''].join()
      const decoded = decodeURIComponent(Buffer.from(named, 'latin1').toString('utf8'))
      response.end(
        decoded
          .normalize('NFKC')
          .toLowerCase()
          .split(/[.\u3002]/)[0],
      )
    })
    app = await listen(server)
  })
  afterAll(() => app.close())

  it.each([
    ['X-Forwarded-Host of another', 'globex'],
    ['two Hosts', 'acme'],
    ['a percent-encoded letter', 'acme'],
    ['a percent-encoded dot', 'acme'],
    ['full-width letters', 'acme'],
    ['a Kelvin sign', 'kelvin'],
    ['an absolute target of another host', 'acme'],
    ['two keys in two places', 'acme'],
    ['the key of another tenant', 'acme'],
    ['a domain that begins like a tenant', 'acme'],
  ])('serves a request with %s as %s', async (what, served) => {
    const request = cases.find(([name]) => name === what)?.[1] ?? bytes('')
    expect((await sendRaw(portOf(app.server), request)).body).toContain(served)
  })
})
