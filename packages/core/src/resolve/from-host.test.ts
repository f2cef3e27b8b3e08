import { describe, expect, it } from 'vitest'
import { fromCustomDomain, fromSubdomain } from './from-host.ts'
import { checkRequest } from './host.ts'
import type { TenantSource } from './tenant-source.ts'

function find(source: TenantSource, host: string) {
  return source.find(checkRequest({ method: 'GET', target: '/', rawHeaders: ['Host', host], remoteAddress: undefined }))
}

describe('fromSubdomain()', () => {
  const source = fromSubdomain({ base: ['Example.com', 'eu.example.com', 'localhost'] })

  it.each([
    ['acme.example.com', 'acme'],
    ['ACME.example.com.:443', 'acme'],
    ['acme.eu.example.com', 'acme'],
    ['acme.localhost:3000', 'acme'],
    ['a1.example.com', 'a1'],
  ])('reads the label below the base of %s', (host, slug) => {
    expect(find(source, host)).toEqual({ by: 'slug', value: slug })
  })

  it.each([
    'example.com',
    'eu.example.com',
    'localhost',
    'api.example.com',
    'www.example.com',
    'acmeexample.com',
    'example.com.evil.test',
    '127.0.0.1',
    '[::1]',
  ])('says nothing about %s', (host) => {
    expect(find(source, host)).toBeUndefined()
  })

  it.each([
    ['x.acme.example.com', 'its Host lies more than one label below the base domain'],
    ['x.acme.eu.example.com', 'its Host lies more than one label below the base domain'],
    ['a.example.com', 'its subdomain can be no tenant'],
    ['xn--cme-5cd.example.com', 'its subdomain can be no tenant'],
  ])('refuses %s', (host, found) => {
    expect(() => find(source, host)).toThrow(
      expect.objectContaining({
        code: 'ERR_REQUEST_MALFORMED',
        message: `Cannot tell the tenant of this request: ${found}`,
      }),
    )
  })
})

describe('fromCustomDomain()', () => {
  const source = fromCustomDomain({ exceptUnder: 'example.com' })

  it('reads a whole host that is not of the platform', () => {
    expect(find(source, 'Portal.ACME.test:443')).toEqual({ by: 'host', value: 'portal.acme.test' })
    expect(find(source, 'notexample.com')).toEqual({ by: 'host', value: 'notexample.com' })
  })

  it.each(['example.com', 'acme.example.com', 'x.acme.example.com', '127.0.0.1', '[::1]'])(
    'says nothing about %s',
    (host) => {
      expect(find(source, host)).toBeUndefined()
    },
  )
})

describe.each([
  ['fromSubdomain()', (base: string) => fromSubdomain({ base })],
  ['fromCustomDomain()', (base: string) => fromCustomDomain({ exceptUnder: base })],
])('%s', (_name, make) => {
  it.each(['', '.example.com', 'example.com.', 'https://example.com', 'example.com:443', '*.example.com'])(
    'refuses the base %j, which would match no host or others than meant',
    (base) => {
      expect(() => make(base)).toThrow(
        expect.objectContaining({
          code: 'ERR_CONFIG_INVALID',
          message: `Cannot use the base domain "${base}": wanted a name such as "example.com"`,
        }),
      )
    },
  )
})
