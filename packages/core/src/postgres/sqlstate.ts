/** The SQLSTATEs Rowhouse acts on, and what each one means here. @see https://www.postgresql.org/docs/current/errcodes-appendix.html */
export const SQLSTATE = {
  /** A policy, a grant or one of our own checks refused; `constraint` tells which of ours. */
  insufficientPrivilege: '42501',
  /** `lock_timeout`, or our context statement found the tenant being moved. */
  lockNotAvailable: '55P03',
  /** `statement_timeout`, or a cancel request. */
  queryCanceled: '57014',
  readOnlyTransaction: '25006',
  uniqueViolation: '23505',
  foreignKeyViolation: '23503',
  notNullViolation: '23502',
  checkViolation: '23514',
  exclusionViolation: '23P01',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  /** The one a tenant lives in is being replaced, or was moved: whoever asks again finds it. */
  undefinedDatabase: '3D000',
  undefinedSchema: '3F000',
  undefinedTable: '42P01',
  undefinedFunction: '42883',
  invalidName: '42602',
  noDataFound: 'P0002',
  /** Also a role that does not exist, for SET ROLE. */
  invalidParameterValue: '22023',
} as const

/** SQLSTATE classes that mean the server is not there for us: connection, resources, operator intervention; and a database that is gone. */
const UNAVAILABLE_CLASSES = ['08', '53', '57P', SQLSTATE.undefinedDatabase]

export function isUnavailableState(sqlState: string): boolean {
  return UNAVAILABLE_CLASSES.some((prefix) => sqlState.startsWith(prefix))
}

/** Names our own SQL gives in the error field `constraint`, so that no program has to read a message. */
export const RAISED = {
  contextMissing: 'rowhouse_context_missing',
  contextRefused: 'rowhouse_context_refused',
  tenantMoving: 'rowhouse_tenant_moving',
  tenantLifecycle: 'rowhouse_tenant_lifecycle',
  platformRequired: 'rowhouse_platform_required',
  crossingTenants: 'rowhouse_crossing_tenants',
  unprotectable: 'rowhouse_unprotectable',
} as const
