/**
 * Every error Rowhouse throws on purpose, with its code.
 *
 * Imports nothing: this file lies under all others. Caller mistakes that no program should catch are
 * `TypeError` and `RangeError`; everything here is meant to be caught, reported or acted on. A code is
 * never reused for another meaning. `docs/reference/errors.md` lists the same codes (a test holds them equal).
 */

/** What every Rowhouse error carries besides its message. */
export interface ErrorFacts {
  readonly cause?: unknown
  /** Id of the tenant the failed work belonged to; never another tenant's. */
  readonly tenantId?: string | undefined
  /** How long to wait before trying again, in milliseconds. Only where trying again can help. */
  readonly retryAfterMs?: number | undefined
}

/** Base of all errors of Rowhouse; narrow with `switch (error.code)` on `AnyRowhouseError`. */
export abstract class RowhouseError<Code extends string = string> extends Error {
  readonly code: Code
  /** True when the same call can succeed later without anybody changing anything. */
  readonly retryable: boolean = false
  readonly tenantId: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: Code, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.name = new.target.name
    this.code = code
    this.tenantId = facts.tenantId
    this.retryAfterMs = facts.retryAfterMs
  }
}

/** The process is set up wrongly: fix the configuration, then start again. */
export class ConfigError extends RowhouseError<
  'ERR_CONFIG_INVALID' | 'ERR_ADMIN_REQUIRED' | 'ERR_PLATFORM_UNSUPPORTED' | 'ERR_NOT_INSTALLED'
> {}

/** Code reached tenant data without a tenant, or with a second one: a bug in the application. */
export class TenantContextError extends RowhouseError<'ERR_TENANT_CONTEXT_MISSING' | 'ERR_TENANT_CONTEXT_MISMATCH'> {}

/** The tenant does not exist, is in the wrong state, or its name cannot be used. */
export class TenantError extends RowhouseError<
  | 'ERR_TENANT_NOT_FOUND'
  | 'ERR_TENANT_SUSPENDED'
  | 'ERR_TENANT_STATE'
  | 'ERR_IDEMPOTENCY_KEY_REUSED'
  | 'ERR_PROVISIONING_FAILED'
  | 'ERR_MOVE_IMPOSSIBLE'
  | 'ERR_MOVE_DIVERGED'
  | 'ERR_MOVE_ABORTED'
  | 'ERR_MOVE_NOT_FOUND'
  | 'ERR_MOVE_STATE'
  | 'ERR_TENANT_SLUG_INVALID'
  | 'ERR_TENANT_SLUG_TAKEN'
  | 'ERR_TENANT_DOMAIN_TAKEN'
  | 'ERR_TENANT_RETAINED'
  | 'ERR_TENANT_HELD'
  | 'ERR_CAUSE_INVALID'
  | 'ERR_ERASE_INCOMPLETE'
> {}

/** The request does not say, or contradicts itself about, which tenant it is for. */
export class ResolveError extends RowhouseError<
  'ERR_REQUEST_MALFORMED' | 'ERR_TENANT_UNRESOLVED' | 'ERR_TENANT_AMBIGUOUS' | 'ERR_CREDENTIAL_INVALID'
> {}

/** The caller may not do this. */
export class AccessError extends RowhouseError<'ERR_ACCESS_DENIED' | 'ERR_CROSS_TENANT_REFUSED' | 'ERR_SAME_PERSON'> {}

/** A wall of the isolation is missing or was touched: refuse to start, or alarm. */
export class IsolationError extends RowhouseError<
  | 'ERR_ISOLATION_ROLE_BYPASSES_RLS'
  | 'ERR_ISOLATION_SEAL_REFUSED'
  | 'ERR_ISOLATION_FOREIGN_ROW'
  | 'ERR_ISOLATION_TRIPWIRE'
  | 'ERR_ISOLATION_TABLE_UNPROTECTABLE'
> {
  /** What stands in the way of protecting tables, with the SQL that mends it; empty for the other codes. */
  readonly faults: readonly TableFault[]

  constructor(
    code: IsolationError['code'],
    message: string,
    facts: ErrorFacts & { readonly faults?: readonly TableFault[] } = {},
  ) {
    super(code, message, facts)
    this.faults = facts.faults ?? []
  }
}

/** One reason why a table cannot be a tenant table yet. */
export interface TableFault {
  readonly table: string
  /** Stable, e.g. `key-not-by-tenant`; listed in `docs/guides/protect.md`. */
  readonly code: string
  readonly message: string
  /** SQL that mends it, where SQL alone can. */
  readonly mend: string | undefined
}

/** The schema Rowhouse owns is not what this version needs. */
export class MigrationError extends RowhouseError<
  | 'ERR_MIGRATION_LOCKED'
  | 'ERR_MIGRATION_FAILED'
  | 'ERR_MIGRATION_INVALID'
  | 'ERR_SCHEMA_NEWER'
  | 'ERR_SCHEMA_DRIFT'
  | 'ERR_SERVER_UNSUPPORTED'
  | 'ERR_PRIVILEGE_MISSING'
> {}

/** A statement was refused before it ran, or PostgreSQL refused it. */
export class StatementError extends RowhouseError<
  | 'ERR_STATEMENT_REFUSED'
  | 'ERR_STATEMENT_FAILED'
  | 'ERR_STATEMENT_CANCELLED'
  | 'ERR_CONSTRAINT_VIOLATED'
  | 'ERR_READ_ONLY'
  | 'ERR_ROW_COUNT'
> {
  /** SQLSTATE of PostgreSQL, where it was PostgreSQL that refused. */
  readonly sqlState: string | undefined
  /** Which constraint was violated and on which table: names only, never values. */
  readonly constraint: ViolatedConstraint | undefined

  constructor(
    code: StatementError['code'],
    message: string,
    facts: ErrorFacts & {
      readonly sqlState?: string | undefined
      readonly constraint?: ViolatedConstraint | undefined
    } = {},
  ) {
    super(code, message, facts)
    this.sqlState = facts.sqlState
    this.constraint = facts.constraint
  }
}

export interface ViolatedConstraint {
  readonly kind: 'unique' | 'foreign-key' | 'not-null' | 'check' | 'exclusion'
  readonly name: string | undefined
  readonly table: string | undefined
  readonly column: string | undefined
}

/** Something Rowhouse depends on did not answer in time; trying again can help. */
export class UnavailableError extends RowhouseError<
  | 'ERR_DATABASE_UNAVAILABLE'
  | 'ERR_TIMEOUT'
  | 'ERR_OVERLOADED'
  | 'ERR_TENANT_MOVING'
  | 'ERR_TRANSACTION_CONFLICT'
  | 'ERR_HOOK_UNAVAILABLE'
> {
  override readonly retryable = true
}

/** What a provisioning hook talks to answered, and the answer cannot be accepted: trying again does not help. */
export class HookError extends RowhouseError<'ERR_HOOK_REFUSED' | 'ERR_HOOK_UNTRUSTED'> {
  /** Why, for programs, e.g. `name-taken`, `BADKEY`, `http-422`; listed in `docs/guides/provisioning-hooks.md`. */
  readonly reason: string

  constructor(code: HookError['code'], message: string, facts: ErrorFacts & { readonly reason: string }) {
    super(code, message, facts)
    this.reason = facts.reason
  }
}

/** A tenant cannot be placed as wanted: no server fits, or a rule did not answer. Nothing was placed anywhere else. */
export class PlacementError extends RowhouseError<'ERR_PLACEMENT_IMPOSSIBLE' | 'ERR_PLACEMENT_RULE_FAILED'> {
  /** Per server why it does not fit; empty where the wish itself is the contradiction. */
  readonly servers: readonly ServerMisfit[]

  constructor(
    code: PlacementError['code'],
    message: string,
    facts: ErrorFacts & { readonly servers?: readonly ServerMisfit[] } = {},
  ) {
    super(code, message, facts)
    this.servers = facts.servers ?? []
  }
}

/** Why a server does not take a tenant. */
export interface ServerMisfit {
  readonly server: string
  readonly reasons: readonly string[]
}

/** A backup cannot be used, kept, or proved to be what it says. Nothing was written to the tenant. */
export class ArtefactError extends RowhouseError<
  | 'ERR_ARTEFACT_DAMAGED'
  | 'ERR_ARTEFACT_FOREIGN'
  | 'ERR_ARTEFACT_KEY'
  | 'ERR_ARTEFACT_NEWER'
  | 'ERR_ARTEFACT_NOT_FOUND'
  | 'ERR_ARTEFACT_STORE'
  | 'ERR_RESTORE_UNPROVEN'
> {}

/** Union of all error classes, so that `switch (error.code)` narrows. */
export type AnyRowhouseError =
  | ConfigError
  | TenantContextError
  | TenantError
  | ResolveError
  | AccessError
  | IsolationError
  | MigrationError
  | StatementError
  | UnavailableError
  | PlacementError
  | HookError
  | ArtefactError

/** Closed union of all codes. */
export type RowhouseErrorCode = AnyRowhouseError['code']

/**
 * Tells whether a caught value is one of Rowhouse's errors.
 *
 * @example
 * ```ts
 * import { isRowhouseError } from 'rowhouse'
 * function answer(error: unknown): number {
 *   if (isRowhouseError(error) && error.code === 'ERR_CONSTRAINT_VIOLATED') return 409
 *   throw error
 * }
 * console.assert(answer.length === 1)
 * ```
 */
export function isRowhouseError(error: unknown): error is AnyRowhouseError {
  return error instanceof RowhouseError
}
