import { AccessError, HookError, isRowhouseError, MigrationError, TenantError, UnavailableError } from 'rowhouse'
import { type FailedRun, revive } from '../provision/run-outcome.ts'

/**
 * Turns what the database refused into one of Rowhouse's errors; everything else passes unchanged. The database has the
 * last word: who looked first and found nothing in the way may still be refused by it.
 *
 * @param action  what was tried, to follow "Cannot": `erase tenant "acme"`
 */
export function toLifecycleError(error: unknown, action: string): unknown {
  if (isRowhouseError(error)) return error
  const { code, constraint, message } = error as { code?: unknown; constraint?: unknown; message: string }
  const said = String(message).replace(/^rowhouse: /, '')
  switch (constraint) {
    case 'rowhouse_tenant_held':
      return new TenantError('ERR_TENANT_HELD', `Cannot ${action}: ${said}; let two people lift it first`, {
        cause: error,
      })
    case 'rowhouse_tenant_retained':
      return new TenantError('ERR_TENANT_RETAINED', `Cannot ${action}: ${said}`, { cause: error })
    case 'rowhouse_same_person':
      return new AccessError('ERR_SAME_PERSON', `Cannot ${action}: ${said}; let another person confirm`, {
        cause: error,
      })
    case 'rowhouse_tenant_lifecycle':
    case 'rowhouse_lift_not_requested':
      return new TenantError('ERR_TENANT_STATE', `Cannot ${action}: ${said}`, { cause: error })
  }
  if (code !== '42501') return error
  return new MigrationError(
    'ERR_PRIVILEGE_MISSING',
    `Cannot ${action} with this login: ${message}; use a superuser, or grant the login what is missing`,
    { cause: error },
  )
}

/** What a run failed with, for who waits for it. What the platform's own export threw is no error of Rowhouse's. */
export function toRunError(action: string, { step, error }: FailedRun): Error {
  const { message } = error
  const text = message.startsWith('Cannot ') ? message : `Cannot ${action}: step "${step}" failed: ${message}`
  if (/^(08|53|57P)|^E(CONN|PIPE)/.test(error.code ?? '')) return new UnavailableError('ERR_DATABASE_UNAVAILABLE', text)
  return revive(error, text) ?? new HookError('ERR_HOOK_REFUSED', text, { reason: `${step}-failed` })
}
