import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createApiKey, fromApiKey, parseApiKey } from './api-key.ts'
import { checkRequest } from './host.ts'

function find(...rawHeaders: string[]) {
  const facts = { method: 'GET', target: '/', rawHeaders: ['Host', 'a.test', ...rawHeaders], remoteAddress: undefined }
  return fromApiKey().find(checkRequest(facts))
}

describe('createApiKey()', () => {
  it('makes a key of a recognisable shape whose secret is stored as a hash only', () => {
    const { key, id, secretSha256 } = createApiKey()
    const [, , , secret = ''] = key.split('_')
    expect(key).toMatch(/^rh_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/)
    expect(key.split('_')[2]).toBe(id)
    expect(secretSha256).toBe(createHash('sha256').update(secret).digest('hex'))
  })

  it('uses every character of its alphabet, and no id twice', () => {
    const keys = Array.from({ length: 500 }, createApiKey)
    expect(new Set(keys.map(({ id }) => id)).size).toBe(500)
    expect(new Set(keys.flatMap(({ key }) => [...(key.split('_')[3] ?? '')])).size).toBe(62)
  })
})

describe('parseApiKey()', () => {
  const { key, id, secretSha256 } = createApiKey()

  it('returns what createApiKey() gave to store', () => {
    expect(parseApiKey(key)).toEqual({ id, secretSha256 })
  })

  it('notices every single mistyped character, offline', () => {
    for (let i = 0; i < key.length; i++) {
      const mistyped = key.slice(0, i) + (key[i] === 'x' ? 'y' : 'x') + key.slice(i + 1)
      expect(() => parseApiKey(mistyped), `character ${i}`).toThrow(
        expect.objectContaining({
          code: 'ERR_CREDENTIAL_INVALID',
          message: 'Cannot accept this API key: it is incomplete or mistyped',
        }),
      )
    }
  })

  it.each(['', 'rh_live_', 'x'.repeat(100_000), `${key}\n`, ` ${key}`, `${key}_`, key.replace('live', 'test')])(
    'refuses %.20j',
    (text) => {
      expect(() => parseApiKey(text)).toThrow(expect.objectContaining({ code: 'ERR_CREDENTIAL_INVALID' }))
    },
  )
})

describe('fromApiKey()', () => {
  const { key, id, secretSha256 } = createApiKey()
  const wanted = { by: 'api-key', value: id, secretSha256 }

  it('finds the key in its header or as bearer token', () => {
    expect(find('X-Api-Key', key)).toEqual(wanted)
    expect(find('Authorization', `Bearer ${key}`)).toEqual(wanted)
    expect(find('authorization', `bearer  ${key}`)).toEqual(wanted)
  })

  it('says nothing without a key, and leaves other schemes and tokens to other sources', () => {
    expect(find()).toBeUndefined()
    expect(find('Authorization', 'Basic eA==')).toBeUndefined()
    expect(find('Authorization', 'Bearer eyJhbGciOiJFZERTQSJ9.e30.x')).toBeUndefined()
  })

  it('passes on the hash of the secret and nothing else of it', () => {
    expect(JSON.stringify(find('X-Api-Key', key))).not.toContain(key.split('_')[3])
  })

  it('refuses two keys', () => {
    expect(() => find('X-Api-Key', key, 'Authorization', `Bearer ${key}`)).toThrow(
      expect.objectContaining({
        code: 'ERR_REQUEST_MALFORMED',
        message: 'Cannot tell the tenant of this request: it carries two API keys',
      }),
    )
  })

  it.each([
    ['X-Api-Key', ''],
    ['X-Api-Key', `Bearer ${key}`],
    ['Authorization', 'Bearer rh_'],
    ['Authorization', `Bearer ${key} ${key}`],
  ])('refuses %s: %.20j, as it is present and no key', (name, value) => {
    expect(() => find(name, value)).toThrow(
      expect.objectContaining({
        code: 'ERR_CREDENTIAL_INVALID',
        message: 'Cannot accept this API key: it is incomplete or mistyped',
      }),
    )
  })
})
