import { describe, expect, it } from 'vitest'
import { presentRefusal } from '../../src/adapters/refusal.ts'
import {
  AccessError,
  ConfigError,
  IsolationError,
  MigrationError,
  ResolveError,
  StatementError,
  TenantContextError,
  TenantError,
  UnavailableError,
} from '../../src/errors.ts'

const SECRET = 'globex pays 4711'
const badCredential = new ResolveError('ERR_CREDENTIAL_INVALID', SECRET)

describe('presentRefusal()', () => {
  it.each([
    ['a malformed request', new ResolveError('ERR_REQUEST_MALFORMED', SECRET), 400, 'ERR_REQUEST_MALFORMED'],
    ['a bad credential', badCredential, 401, 'ERR_CREDENTIAL_INVALID'],
    ['a suspended tenant', new TenantError('ERR_TENANT_SUSPENDED', SECRET), 403, 'ERR_TENANT_SUSPENDED'],
    ['an unknown tenant', new TenantError('ERR_TENANT_NOT_FOUND', SECRET), 404, 'ERR_TENANT_NOT_FOUND'],
    ['no tenant', new ResolveError('ERR_TENANT_UNRESOLVED', SECRET), 404, 'ERR_TENANT_NOT_FOUND'],
    ['two tenants', new ResolveError('ERR_TENANT_AMBIGUOUS', SECRET), 404, 'ERR_TENANT_NOT_FOUND'],
    ['a full queue', new UnavailableError('ERR_OVERLOADED', SECRET), 503, 'ERR_OVERLOADED'],
    [
      'a database that is away',
      new UnavailableError('ERR_DATABASE_UNAVAILABLE', SECRET),
      503,
      'ERR_DATABASE_UNAVAILABLE',
    ],
    ['a tenant that moves', new UnavailableError('ERR_TENANT_MOVING', SECRET), 503, 'ERR_TENANT_MOVING'],
    ['a wrong configuration', new ConfigError('ERR_NOT_INSTALLED', SECRET), 500, undefined],
    ['a lost context', new TenantContextError('ERR_TENANT_CONTEXT_MISSING', SECRET), 500, undefined],
    ['a missing right', new AccessError('ERR_ACCESS_DENIED', SECRET), 500, undefined],
    ['a touched wall', new IsolationError('ERR_ISOLATION_SEAL_REFUSED', SECRET), 500, undefined],
    ['a wrong schema', new MigrationError('ERR_SCHEMA_NEWER', SECRET), 500, undefined],
    ['a failed statement', new StatementError('ERR_STATEMENT_FAILED', SECRET), 500, undefined],
    ['an error of somebody else', new Error(SECRET), 500, undefined],
    ['something that is no error', SECRET, 500, undefined],
    ['nothing', undefined, 500, undefined],
  ])('answers %s without a word about it', (_what, error, status, code) => {
    const refusal = presentRefusal(error)
    expect(refusal.status).toBe(status)
    expect(JSON.parse(refusal.body)).toMatchObject({ type: 'about:blank', status, ...(code && { code }) })
    expect(JSON.parse(refusal.body).code).toBe(code)
    expect(refusal.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-type': 'application/problem+json',
      'content-length': String(Buffer.byteLength(refusal.body)),
    })
    expect(JSON.stringify(refusal)).not.toContain(SECRET)
  })

  it.each([
    new ResolveError('ERR_TENANT_AMBIGUOUS', SECRET, { cause: badCredential }),
    new TenantError('ERR_TENANT_NOT_FOUND', SECRET, { cause: badCredential }),
  ])('answers $code with a foreign credential like a bad credential', (error) => {
    expect(presentRefusal(error)).toEqual(presentRefusal(badCredential))
    expect(presentRefusal(error).headers['www-authenticate']).toBe('Bearer')
  })

  it('hides no other status behind a credential', () => {
    const suspended = new TenantError('ERR_TENANT_SUSPENDED', SECRET, { cause: badCredential })
    expect(presentRefusal(suspended).status).toBe(403)
  })

  it.each([
    [undefined, '1'],
    [0, '1'],
    [1, '1'],
    [1_000, '1'],
    [1_001, '2'],
    [60_000, '60'],
  ])('rounds a wait of %s ms up to whole seconds', (retryAfterMs, seconds) => {
    const error = new UnavailableError('ERR_OVERLOADED', SECRET, { retryAfterMs })
    expect(presentRefusal(error).headers['retry-after']).toBe(seconds)
  })

  it('names the request where it is told its id, and counts bytes, not characters', () => {
    const { body, headers } = presentRefusal(new ResolveError('ERR_REQUEST_MALFORMED', SECRET), 'é7')
    expect(JSON.parse(body).requestId).toBe('é7')
    expect(headers['content-length']).toBe(String(body.length + 1))
  })
})
