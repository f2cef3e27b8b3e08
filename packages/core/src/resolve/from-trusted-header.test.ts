import { describe, expect, it } from 'vitest'
import { fromTrustedHeader } from './from-trusted-header.ts'
import { checkRequest } from './host.ts'

const source = fromTrustedHeader({ header: 'X-Tenant', proxies: ['10.1.0.0/16', '192.0.2.7', '2001:db8::/32'] })

function find(remoteAddress: string | undefined, ...rawHeaders: string[]) {
  return source.find(
    checkRequest({ method: 'GET', target: '/', rawHeaders: ['Host', 'a.test', ...rawHeaders], remoteAddress }),
  )
}

describe('fromTrustedHeader()', () => {
  it.each(['10.1.2.3', '192.0.2.7', '::ffff:10.1.2.3', '::FFFF:192.0.2.7', '2001:db8::1'])(
    'believes the proxy %s',
    (address) => {
      expect(find(address, 'x-tenant', 'acme')).toEqual({ by: 'slug', value: 'acme' })
    },
  )

  it('takes a UUID for an id', () => {
    const id = '0190a1b2-0000-7000-8000-000000000001'
    expect(find('10.1.2.3', 'x-tenant', id)).toEqual({ by: 'id', value: id })
  })

  it('says nothing without the header, whoever asks', () => {
    expect(find('203.0.113.9')).toBeUndefined()
    expect(find('10.1.2.3')).toBeUndefined()
  })

  it.each(['10.2.0.1', '192.0.2.8', '127.0.0.1', '::1', '::ffff:10.2.0.1', '2001:db9::1', 'unix', '', undefined])(
    'refuses the header from %j',
    (address) => {
      expect(() => find(address, 'x-tenant', 'acme', 'x-forwarded-for', '10.1.2.3')).toThrow(
        expect.objectContaining({
          code: 'ERR_CREDENTIAL_INVALID',
          message: 'Cannot accept the header "x-tenant": its sender is not a trusted proxy',
        }),
      )
    },
  )

  it('refuses a second value, which a client may have sent through the proxy', () => {
    expect(() => find('10.1.2.3', 'x-tenant', 'acme', 'X-Tenant', 'globex')).toThrow(
      expect.objectContaining({
        code: 'ERR_REQUEST_MALFORMED',
        message: 'Cannot tell the tenant of this request: the header "x-tenant" came 2 times',
      }),
    )
  })

  it.each([
    '',
    'proxy.test',
    '10.0.0.0/',
    '10.0.0.0/0',
    '::/0',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/8/8',
    '10.0/8',
    '*',
  ])('refuses to trust %j', (proxy) => {
    expect(() => fromTrustedHeader({ header: 'x-tenant', proxies: [proxy] })).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_INVALID',
        message: `Cannot trust the proxy "${proxy}": wanted an address or a network such as 10.0.0.0/8`,
      }),
    )
  })
})
