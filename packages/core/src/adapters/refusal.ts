import { isRowhouseError, type RowhouseErrorCode } from '../errors.ts'
import type { TenantGate } from '../resolve/gate.ts'
import type { RequestFacts } from '../resolve/request-facts.ts'

/** What a client gets instead of the application. */
export interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface AdapterOptions {
  /** Returns the id under which this request is logged; it goes into the body of a refusal. @defaultValue none */
  readonly requestId?: (request: RequestFacts) => string | undefined
}

const STATUS = {
  ERR_CONFIG_INVALID: 500,
  ERR_ADMIN_REQUIRED: 500,
  ERR_PLATFORM_UNSUPPORTED: 500,
  ERR_NOT_INSTALLED: 500,
  ERR_TENANT_CONTEXT_MISSING: 500,
  ERR_TENANT_CONTEXT_MISMATCH: 500,
  ERR_TENANT_NOT_FOUND: 404,
  ERR_TENANT_SUSPENDED: 403,
  ERR_TENANT_STATE: 500,
  ERR_IDEMPOTENCY_KEY_REUSED: 500,
  ERR_PROVISIONING_FAILED: 500,
  ERR_MOVE_IMPOSSIBLE: 500,
  ERR_MOVE_DIVERGED: 500,
  ERR_MOVE_ABORTED: 500,
  ERR_MOVE_NOT_FOUND: 500,
  ERR_MOVE_STATE: 500,
  ERR_TENANT_SLUG_INVALID: 500,
  ERR_TENANT_SLUG_TAKEN: 500,
  ERR_TENANT_DOMAIN_TAKEN: 500,
  ERR_TENANT_RETAINED: 500,
  ERR_TENANT_HELD: 500,
  ERR_CAUSE_INVALID: 500,
  ERR_ERASE_INCOMPLETE: 500,
  ERR_REQUEST_MALFORMED: 400,
  ERR_TENANT_UNRESOLVED: 404,
  ERR_TENANT_AMBIGUOUS: 404,
  ERR_CREDENTIAL_INVALID: 401,
  ERR_ACCESS_DENIED: 500,
  ERR_CROSS_TENANT_REFUSED: 500,
  ERR_SAME_PERSON: 500,
  ERR_ISOLATION_ROLE_BYPASSES_RLS: 500,
  ERR_ISOLATION_SEAL_REFUSED: 500,
  ERR_ISOLATION_FOREIGN_ROW: 500,
  ERR_ISOLATION_TRIPWIRE: 500,
  ERR_ISOLATION_TABLE_UNPROTECTABLE: 500,
  ERR_MIGRATION_LOCKED: 500,
  ERR_MIGRATION_FAILED: 500,
  ERR_MIGRATION_INVALID: 500,
  ERR_SCHEMA_NEWER: 500,
  ERR_SCHEMA_DRIFT: 500,
  ERR_SERVER_UNSUPPORTED: 500,
  ERR_PRIVILEGE_MISSING: 500,
  ERR_STATEMENT_REFUSED: 500,
  ERR_STATEMENT_FAILED: 500,
  ERR_STATEMENT_CANCELLED: 500,
  ERR_CONSTRAINT_VIOLATED: 500,
  ERR_READ_ONLY: 500,
  ERR_ROW_COUNT: 500,
  ERR_DATABASE_UNAVAILABLE: 503,
  ERR_TIMEOUT: 503,
  ERR_OVERLOADED: 503,
  ERR_TENANT_MOVING: 503,
  ERR_TRANSACTION_CONFLICT: 503,
  ERR_HOOK_UNAVAILABLE: 503,
  ERR_HOOK_REFUSED: 500,
  ERR_HOOK_UNTRUSTED: 500,
  ERR_PLACEMENT_IMPOSSIBLE: 500,
  ERR_PLACEMENT_RULE_FAILED: 500,
  ERR_ARTEFACT_DAMAGED: 500,
  ERR_ARTEFACT_FOREIGN: 500,
  ERR_ARTEFACT_KEY: 500,
  ERR_ARTEFACT_NEWER: 500,
  ERR_ARTEFACT_NOT_FOUND: 500,
  ERR_ARTEFACT_STORE: 500,
  ERR_RESTORE_UNPROVEN: 500,
} satisfies Record<RowhouseErrorCode, number>

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** Where an error does not say how long to wait, in milliseconds: the smallest wait the header can express. */
const RETRY_AFTER_MS = 1_000

/**
 * Returns the answer to a request that may not come in, as problem+json (RFC 9457).
 *
 * Says nothing that tells one tenant from another. An unknown host, a host nobody named and sources that disagree are
 * one 404, byte for byte. A request with a credential gets one 401 for unknown, mistyped, expired, revoked and
 * foreign ones, so that the answer cannot be used to test whether a stolen key is anybody's. The reason is in the
 * error, for the log. What is no refusal is a 500 without detail.
 */
export function presentRefusal(error: unknown, requestId?: string): Refusal {
  const code = presentedCode(error)
  const status = code === undefined ? 500 : STATUS[code]
  const shown = status === 500 ? {} : { code }
  const body = JSON.stringify({ type: 'about:blank', title: TITLES[status], status, ...shown, requestId })
  const headers: Record<string, string> = {
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(body)),
    'cache-control': 'no-store',
  }
  if (status === 401) headers['www-authenticate'] = 'Bearer'
  if (status === 503) headers['retry-after'] = String(retryAfterSeconds(error))
  return { status, headers, body }
}

/** Tells the gate, then returns the answer. A logger that throws must not keep the client waiting. */
export function refuse(gate: TenantGate, error: unknown, request: RequestFacts, options: AdapterOptions): Refusal {
  try {
    gate.onRefused?.(error, request)
    return presentRefusal(error, options.requestId?.(request))
  } catch {
    return presentRefusal(error)
  }
}

/** The code the client sees: the same one wherever a difference would say whether something exists. */
function presentedCode(error: unknown): RowhouseErrorCode | undefined {
  if (!isRowhouseError(error)) return undefined
  if (STATUS[error.code] !== 404) return error.code
  const { cause } = error
  const carriedCredential = isRowhouseError(cause) && cause.code === 'ERR_CREDENTIAL_INVALID'
  return carriedCredential ? 'ERR_CREDENTIAL_INVALID' : 'ERR_TENANT_NOT_FOUND'
}

function retryAfterSeconds(error: unknown): number {
  const waitMs = (isRowhouseError(error) ? error.retryAfterMs : undefined) ?? RETRY_AFTER_MS
  return Math.max(1, Math.ceil(waitMs / 1_000))
}
