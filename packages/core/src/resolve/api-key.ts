import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { ResolveError } from '../errors.ts'
import { API_KEY_PREFIX, findBearerToken } from './bearer-token.ts'
import { type CheckedRequest, malformed } from './request-facts.ts'
import type { TenantSource } from './tenant-source.ts'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** `rh_live_<public id>_<secret>_<checksum>`; the prefix lets secret scanners recognise it. */
const SHAPE = /^rh_live_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})$/

export interface NewApiKey {
  /** The whole key: shown once, stored nowhere. */
  readonly key: string
  /** Public part, by which it is found. */
  readonly id: string
  /** What is stored. 256 random bits need no slow hash. */
  readonly secretSha256: string
}

/**
 * Makes an API key. The tenant it belongs to is decided where it is stored.
 *
 * @example
 * ```ts
 * import { createApiKey } from 'rowhouse'
 * const { key, id } = createApiKey()
 * console.assert(key.startsWith(`rh_live_${id}_`))
 * ```
 */
export function createApiKey(): NewApiKey {
  const id = randomText(12)
  const secret = randomText(43)
  return { key: `rh_live_${id}_${secret}_${checksum(id, secret)}`, id, secretSha256: sha256(secret) }
}

/** Returns the parts of a key. @throws {ResolveError} `ERR_CREDENTIAL_INVALID` when it is mistyped or no key at all */
export function parseApiKey(key: string): { id: string; secretSha256: string } {
  const [, id, secret, sum] = SHAPE.exec(key) ?? []
  if (id === undefined || secret === undefined || checksum(id, secret) !== sum) {
    throw new ResolveError('ERR_CREDENTIAL_INVALID', 'Cannot accept this API key: it is incomplete or mistyped')
  }
  return { id, secretSha256: sha256(secret) }
}

export interface ApiKeyOptions {
  /** Header that carries the key alone. @defaultValue 'x-api-key' */
  readonly header?: string
}

/**
 * Reads the tenant from an API key, in a header of its own or as `Authorization: Bearer rh_live_…`.
 *
 * The key's units and name go into the context. Bearer tokens that do not begin with `rh_` say nothing here.
 *
 * @throws {ResolveError} `ERR_CREDENTIAL_INVALID` when the key is mistyped; unknown, revoked and expired keys end
 *   alike. `ERR_REQUEST_MALFORMED` when both places hold a key
 * @example
 * ```ts
 * import { fromApiKey } from 'rowhouse'
 * console.assert(fromApiKey().name === 'api-key')
 * ```
 */
export function fromApiKey({ header = 'x-api-key' }: ApiKeyOptions = {}): TenantSource {
  const name = header.toLowerCase()
  return {
    name: 'api-key',
    credential: true,
    find: (request) => {
      const [key, second] = [request.header(name), bearer(request)].filter((each) => each !== undefined)
      if (key === undefined) return undefined
      if (second !== undefined) throw malformed('it carries two API keys')
      const { id, secretSha256 } = parseApiKey(key)
      return { by: 'api-key', value: id, secretSha256 }
    },
  }
}

function bearer(request: CheckedRequest): string | undefined {
  const token = findBearerToken(request)
  return token?.startsWith(API_KEY_PREFIX) ? token : undefined
}

/** Uniform over the alphabet: bytes that would favour its beginning are thrown away. */
function randomText(length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += ALPHABET[byte % 62]
    }
  }
  return text
}

function checksum(id: string, secret: string): string {
  let value = crc32(`${id}_${secret}`)
  let text = ''
  for (let i = 0; i < 6; i++) {
    text = (ALPHABET[value % 62] ?? '') + text
    value = Math.floor(value / 62)
  }
  return text
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
