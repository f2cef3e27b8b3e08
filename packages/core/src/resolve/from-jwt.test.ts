import { inspect } from 'node:util'
import { createLocalJWKSet, exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { createApiKey } from './api-key.ts'
import { fromJwt, type JwtOptions } from './from-jwt.ts'
import { checkRequest } from './host.ts'

const { publicKey, privateKey } = await generateKeyPair('EdDSA', { extractable: true })
const stranger = await generateKeyPair('EdDSA')
const issuer = 'https://id.example.com'
const options: JwtOptions = { issuer, audience: 'freight', key: publicKey, algorithms: ['EdDSA'] }

const now = () => Math.floor(Date.now() / 1_000)

function claims(changes: JWTPayload = {}): JWTPayload {
  return { iss: issuer, aud: 'freight', exp: now() + 300, tenant: 'acme', ...changes }
}

function sign(payload: JWTPayload, key = privateKey, alg = 'EdDSA', header = {}): Promise<string> {
  return new SignJWT(payload).setProtectedHeader({ alg, ...header }).sign(key)
}

/** A token as an attacker writes it: any header, any signature. */
function forge(header: object, payload: object, signature = ''): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part(header)}.${part(payload)}.${signature}`
}

async function find(token: string | undefined, changes: Partial<JwtOptions> = {}, scheme = 'Bearer') {
  const rawHeaders = ['Host', 'a.test', ...(token === undefined ? [] : ['Authorization', `${scheme} ${token}`])]
  const request = checkRequest({ method: 'GET', target: '/', rawHeaders, remoteAddress: undefined })
  return fromJwt({ ...options, ...changes }).find(request)
}

function refusal(found: string) {
  return expect.objectContaining({
    code: 'ERR_CREDENTIAL_INVALID',
    message: `Cannot accept this token: ${found}`,
  })
}

describe('fromJwt()', () => {
  it('reads slug or id from the claim of a good token', async () => {
    const id = '0190a1b2-0000-7000-8000-000000000001'
    expect(await find(await sign(claims()))).toEqual({ by: 'slug', value: 'acme' })
    expect(await find(await sign(claims({ tenant: id })))).toEqual({ by: 'id', value: id })
    expect(await find(await sign(claims({ org: 'globex' })), { claim: 'org' })).toEqual({ by: 'slug', value: 'globex' })
  })

  it('accepts a set of keys', async () => {
    const key = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'EdDSA' }] })
    const token = await sign(claims(), privateKey, 'EdDSA', { kid: 'one' })
    expect(await find(token, { key })).toEqual({ by: 'slug', value: 'acme' })
    const unknown = await sign(claims(), privateKey, 'EdDSA', { kid: 'two' })
    await expect(find(unknown, { key })).rejects.toThrow(refusal('ERR_JWKS_NO_MATCHING_KEY'))
  })

  it('forgives a minute of difference between clocks', async () => {
    expect(await find(await sign(claims({ exp: now() - 30 })))).toEqual({ by: 'slug', value: 'acme' })
    expect(await find(await sign(claims({ nbf: now() + 30 })))).toEqual({ by: 'slug', value: 'acme' })
  })

  it('says nothing without a token, and leaves API keys to their source', async () => {
    expect(await find(undefined)).toBeUndefined()
    expect(await find('eA==', {}, 'Basic')).toBeUndefined()
    expect(await find(createApiKey().key)).toBeUndefined()
  })

  const faults: readonly (readonly [what: string, token: () => Promise<string> | string, found: string])[] = [
    ['another issuer', () => sign(claims({ iss: 'https://evil.test' })), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['another audience', () => sign(claims({ aud: 'billing' })), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['no end', () => sign(claims({ exp: undefined as never })), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['an end in the past', () => sign(claims({ exp: now() - 120 })), 'ERR_JWT_EXPIRED'],
    ['a beginning in the future', () => sign(claims({ nbf: now() + 120 })), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['no tenant', () => sign(claims({ tenant: undefined })), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['an empty tenant', () => sign(claims({ tenant: '' })), 'its claim "tenant" names no tenant'],
    ['two tenants', () => sign(claims({ tenant: ['acme', 'globex'] })), 'its claim "tenant" names no tenant'],
    ['a tenant that is a number', () => sign(claims({ tenant: 7 })), 'its claim "tenant" names no tenant'],
    ['the key of a stranger', () => sign(claims(), stranger.privateKey), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'],
    ['no signature', () => forge({ alg: 'EdDSA' }, claims()), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'],
    ['the algorithm none', () => forge({ alg: 'none' }, claims()), 'ERR_JOSE_ALG_NOT_ALLOWED'],
    ['the algorithm NONE', () => forge({ alg: 'NONE' }, claims()), 'ERR_JOSE_ALG_NOT_ALLOWED'],
    [
      'an extension it calls critical',
      () => forge({ alg: 'EdDSA', crit: ['x'], x: 1 }, claims()),
      'ERR_JOSE_NOT_SUPPORTED',
    ],
    ['text that is no token', () => 'abc', 'ERR_JWS_INVALID'],
    ['nothing behind Bearer', () => '', 'ERR_JWS_INVALID'],
    ['two tokens', async () => `${await sign(claims())} ${await sign(claims())}`, 'ERR_JWS_INVALID'],
  ]
  it.each(faults)('refuses a token with %s', async (_what, token, found) => {
    await expect(find(await token())).rejects.toThrow(refusal(found))
  })

  it("keeps the claims, which may be another tenant's, out of the error", async () => {
    const error: unknown = await find(await sign(claims({ aud: 'billing', secret: 'hunter2' }))).catch((e) => e)
    expect(error).not.toHaveProperty('cause')
    expect(inspect(error, { depth: 9 })).not.toMatch(/hunter2|billing/)
  })

  it('refuses a token signed with the public key as if it were a shared secret', async () => {
    const secret = new TextEncoder().encode(await exportSPKI(publicKey))
    const confused = await new SignJWT(claims()).setProtectedHeader({ alg: 'HS256' }).sign(secret)
    await expect(find(confused)).rejects.toThrow(refusal('ERR_JOSE_ALG_NOT_ALLOWED'))
    // The attack works where the token may choose: the same bytes as key, any algorithm.
    expect(await find(confused, { key: secret, algorithms: ['HS256'] })).toEqual({ by: 'slug', value: 'acme' })
  })

  it('refuses an algorithm that is allowed and does not fit the key', async () => {
    const { privateKey: ec } = await generateKeyPair('ES256')
    const token = await sign(claims(), ec, 'ES256')
    await expect(find(token, { algorithms: ['EdDSA', 'ES256'] })).rejects.toThrow(
      refusal('its algorithm does not fit the key'),
    )
  })

  it('says "try again" when the keys of the issuer cannot be fetched', async () => {
    const token = await sign(claims())
    for (const failure of [
      new Error('socket hang up'),
      new TypeError('fetch failed', { cause: new Error('refused') }),
    ]) {
      const key = () => Promise.reject(failure)
      await expect(find(token, { key })).rejects.toThrow(
        expect.objectContaining({
          code: 'ERR_TIMEOUT',
          message: "Cannot check this token: the issuer's keys could not be fetched; try again",
          retryable: true,
          cause: failure,
        }),
      )
    }
  })

  it.each([[], ['none'], ['EdDSA', 'NONE'], ['HS256', 'RS256']])(
    'refuses to be set up for the algorithms %j',
    (...algorithms) => {
      expect(() => fromJwt({ ...options, algorithms: algorithms.flat() })).toThrow(
        expect.objectContaining({
          code: 'ERR_CONFIG_INVALID',
          message: `Cannot accept tokens signed with ${JSON.stringify(algorithms.flat())}: wanted at least one algorithm, not "none", and not shared-secret beside key-pair ones`,
        }),
      )
    },
  )

  it.each(['issuer', 'audience'] as const)('refuses to be set up without %s, which would not be checked', (name) => {
    expect(() => fromJwt({ ...options, [name]: '' })).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_INVALID',
        message: `Cannot accept tokens without an ${name}: wanted a text, got none`,
      }),
    )
  })
})
