import { isRowhouseError, type RowhouseErrorCode } from 'rowhouse'

/** Exit codes: 69, 70 and 78 as in sysexits.h, 1 to 6 ours. */
/** Something was found: the command did its work and has bad news. */
export const FINDINGS = 1
export const USAGE = 2
export const MIGRATION = 3
const TENANT = 4
const ACCESS = 5
/** A run over the fleet ended before its end; what it did stays, and it can be resumed. */
export const STOPPED = 6
const UNAVAILABLE = 69
const SOFTWARE = 70
const CONFIG = 78

/** Exhaustive: a new code does not compile until it says how a command ends with it. */
const EXIT_CODES = {
  ERR_CONFIG_INVALID: CONFIG,
  ERR_ADMIN_REQUIRED: CONFIG,
  ERR_PLATFORM_UNSUPPORTED: CONFIG,
  ERR_NOT_INSTALLED: CONFIG,
  ERR_TENANT_CONTEXT_MISSING: SOFTWARE,
  ERR_TENANT_CONTEXT_MISMATCH: SOFTWARE,
  ERR_TENANT_NOT_FOUND: TENANT,
  ERR_TENANT_SUSPENDED: TENANT,
  ERR_TENANT_STATE: TENANT,
  ERR_TENANT_SLUG_INVALID: TENANT,
  ERR_TENANT_SLUG_TAKEN: TENANT,
  ERR_TENANT_DOMAIN_TAKEN: TENANT,
  ERR_REQUEST_MALFORMED: SOFTWARE,
  ERR_TENANT_UNRESOLVED: TENANT,
  ERR_TENANT_AMBIGUOUS: TENANT,
  ERR_CREDENTIAL_INVALID: ACCESS,
  ERR_ACCESS_DENIED: ACCESS,
  ERR_CROSS_TENANT_REFUSED: ACCESS,
  ERR_ISOLATION_ROLE_BYPASSES_RLS: SOFTWARE,
  ERR_ISOLATION_SEAL_REFUSED: SOFTWARE,
  ERR_ISOLATION_FOREIGN_ROW: ACCESS,
  ERR_ISOLATION_TRIPWIRE: SOFTWARE,
  ERR_ISOLATION_TABLE_UNPROTECTABLE: MIGRATION,
  ERR_MIGRATION_LOCKED: MIGRATION,
  ERR_MIGRATION_FAILED: MIGRATION,
  ERR_MIGRATION_INVALID: MIGRATION,
  ERR_SCHEMA_NEWER: MIGRATION,
  ERR_SCHEMA_DRIFT: MIGRATION,
  ERR_SERVER_UNSUPPORTED: MIGRATION,
  ERR_PRIVILEGE_MISSING: MIGRATION,
  ERR_STATEMENT_REFUSED: ACCESS,
  ERR_STATEMENT_FAILED: 1,
  ERR_STATEMENT_CANCELLED: 1,
  ERR_CONSTRAINT_VIOLATED: 1,
  ERR_READ_ONLY: ACCESS,
  ERR_ROW_COUNT: 1,
  ERR_DATABASE_UNAVAILABLE: UNAVAILABLE,
  ERR_TIMEOUT: UNAVAILABLE,
  ERR_OVERLOADED: UNAVAILABLE,
  ERR_TENANT_MOVING: UNAVAILABLE,
  ERR_TRANSACTION_CONFLICT: UNAVAILABLE,
  ERR_HOOK_UNAVAILABLE: UNAVAILABLE,
  ERR_HOOK_REFUSED: ACCESS,
  ERR_HOOK_UNTRUSTED: SOFTWARE,
  ERR_PLACEMENT_IMPOSSIBLE: TENANT,
  ERR_PLACEMENT_RULE_FAILED: CONFIG,
} satisfies Record<RowhouseErrorCode, number>

/** What was typed makes no sense; the parser's own refusals never get this far. */
export class UsageError extends Error {}

/** Returns the exit code of a command that ended with `error`. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return USAGE
  if (isRowhouseError(error)) return EXIT_CODES[error.code]
  // Errors of the embedded server carry codes of their own package.
  return (error as { code?: unknown })?.code === 'ERR_PLATFORM_UNSUPPORTED' ? CONFIG : SOFTWARE
}
