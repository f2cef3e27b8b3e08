import { describe, expect, it } from 'vitest'
import { checkRequest } from './host.ts'
import { factsFromNode, factsFromWeb } from './request-facts.ts'

describe('factsFromNode()', () => {
  it('takes the target from before a router shortened it, and the peer from the socket', () => {
    const request = {
      method: 'PUT',
      url: '/x',
      originalUrl: '/api/x',
      rawHeaders: ['Host', 'acme.test'],
      socket: { remoteAddress: '::1' },
    }
    expect(factsFromNode(request)).toEqual({
      method: 'PUT',
      target: '/api/x',
      rawHeaders: ['Host', 'acme.test'],
      remoteAddress: '::1',
    })
  })
})

describe('factsFromWeb()', () => {
  it('takes the host from the URL where there is no header', () => {
    const facts = factsFromWeb(new Request('http://acme.test:3000/a?b=c'))
    expect(facts.target).toBe('/a?b=c')
    expect(checkRequest(facts).host).toBe('acme.test')
  })

  it('refuses duplicates that the runtime has joined', () => {
    const headers = new Headers([
      ['host', 'acme.test'],
      ['host', 'globex.test'],
    ])
    expect(() => checkRequest(factsFromWeb(new Request('http://acme.test/', { headers })))).toThrow(
      expect.objectContaining({ code: 'ERR_REQUEST_MALFORMED', message: expect.stringContaining('no host name has') }),
    )
  })

  it('knows no peer unless it is told', () => {
    expect(factsFromWeb(new Request('http://acme.test/')).remoteAddress).toBeUndefined()
    expect(factsFromWeb(new Request('http://acme.test/'), '10.0.0.1').remoteAddress).toBe('10.0.0.1')
  })
})
