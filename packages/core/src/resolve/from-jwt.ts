import { type CryptoKey, errors, type JWTVerifyGetKey, jwtVerify, type KeyObject } from 'jose'
import { ConfigError, ResolveError, UnavailableError } from '../errors.ts'
import { isTenantId } from '../tenant/tenant-id.ts'
import { API_KEY_PREFIX, findBearerToken } from './bearer-token.ts'
import type { CheckedRequest } from './request-facts.ts'
import type { TenantSource } from './tenant-source.ts'

export interface JwtOptions {
  readonly issuer: string
  readonly audience: string
  /** A key, or a set such as jose's `createRemoteJWKSet(url)`. */
  readonly key: CryptoKey | KeyObject | Uint8Array | JWTVerifyGetKey
  /** Signature algorithms accepted, e.g. `['EdDSA']`; named, so that a token cannot choose. */
  readonly algorithms: readonly string[]
  /** Claim that names the tenant by slug or id. @defaultValue 'tenant' */
  readonly claim?: string
}

/** Machines' clocks differ; a token may be this much too old or too young, in seconds. */
const CLOCK_TOLERANCE_S = 60

/**
 * Reads the tenant from a claim of a verified bearer token.
 *
 * No token says nothing; a token that is present has to be good.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for no issuer or audience, no algorithms, `none`, or shared-secret and
 *   key-pair algorithms mixed
 * @throws {ResolveError} `ERR_CREDENTIAL_INVALID` when signature, issuer, audience, time or claim is wrong
 * @throws {UnavailableError} `ERR_TIMEOUT` when the issuer's keys could not be fetched; safe to retry
 * @example
 * ```ts
 * import { createRemoteJWKSet } from 'jose'
 * import { fromJwt } from 'rowhouse'
 * const key = createRemoteJWKSet(new URL('https://id.example.com/jwks.json'))
 * const source = fromJwt({ issuer: 'https://id.example.com', audience: 'freight', key, algorithms: ['EdDSA'] })
 * console.assert(source.name === 'jwt')
 * ```
 */
export function fromJwt(options: JwtOptions): TenantSource {
  const { key, claim = 'tenant' } = options
  const issuer = requireText('issuer', options.issuer)
  const audience = requireText('audience', options.audience)
  const algorithms = requireAlgorithms(options.algorithms)
  const getKey = typeof key === 'function' ? key : async () => key
  return {
    name: 'jwt',
    credential: true,
    find: async (request) => {
      const token = bearerToken(request)
      if (token === undefined) return undefined
      const checks = { issuer, audience, algorithms, clockTolerance: CLOCK_TOLERANCE_S, requiredClaims: ['exp', claim] }
      const { payload } = await jwtVerify(token, getKey as JWTVerifyGetKey, checks).catch((error: unknown) => {
        throw presentFailure(error)
      })
      const tenant = payload[claim]
      if (typeof tenant !== 'string' || tenant === '') throw refused(`its claim "${claim}" names no tenant`)
      return { by: isTenantId(tenant) ? 'id' : 'slug', value: tenant }
    },
  }
}

function bearerToken(request: CheckedRequest): string | undefined {
  const token = findBearerToken(request)
  // API keys travel in the same header and are another source's business.
  return token?.startsWith(API_KEY_PREFIX) ? undefined : token
}

function requireAlgorithms(algorithms: readonly string[]): string[] {
  const shared = algorithms.filter((name) => name.startsWith('HS'))
  const mixed = shared.length > 0 && shared.length < algorithms.length
  if (algorithms.length === 0 || mixed || algorithms.some((name) => name.toLowerCase() === 'none')) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot accept tokens signed with ${JSON.stringify(algorithms)}: wanted at least one algorithm, not "none", and not shared-secret beside key-pair ones`,
    )
  }
  return [...algorithms]
}

/** An empty one, such as a variable that is not set, would switch the check off. */
function requireText(name: string, value: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw new ConfigError('ERR_CONFIG_INVALID', `Cannot accept tokens without an ${name}: wanted a text, got none`)
}

/** What is wrong with the token itself; every other failure is one of fetching the issuer's keys. */
const TOKEN_FAULTS: ReadonlySet<string> = new Set([
  errors.JOSEAlgNotAllowed.code,
  errors.JOSENotSupported.code,
  errors.JWKSNoMatchingKey.code,
  errors.JWKSMultipleMatchingKeys.code,
  errors.JWSInvalid.code,
  errors.JWSSignatureVerificationFailed.code,
  errors.JWTClaimValidationFailed.code,
  errors.JWTExpired.code,
  errors.JWTInvalid.code,
])

function presentFailure(error: unknown): ResolveError | UnavailableError {
  // Without the cause, which holds the claims: they may be another tenant's.
  if (error instanceof errors.JOSEError && TOKEN_FAULTS.has(error.code)) return refused(error.code)
  // A key of the wrong kind for the token's algorithm; the algorithm is one of ours, the choice was the token's.
  if (error instanceof TypeError && !(error.cause instanceof Error))
    return refused('its algorithm does not fit the key')
  const message = "Cannot check this token: the issuer's keys could not be fetched; try again"
  return new UnavailableError('ERR_TIMEOUT', message, { cause: error })
}

function refused(found: string): ResolveError {
  return new ResolveError('ERR_CREDENTIAL_INVALID', `Cannot accept this token: ${found}`)
}
