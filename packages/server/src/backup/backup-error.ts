import { ArtefactError, isRowhouseError, MigrationError, UnavailableError } from 'rowhouse'

/** Says in Rowhouse's words why work on a tenant's rows failed. */
export function toBackupError(error: unknown, doing: string): Error {
  if (isRowhouseError(error) || error instanceof TypeError || error instanceof RangeError) return error
  const { code = '', message } = error as { code?: string; message: string }
  const facts = { cause: error }
  if (code === '42501')
    return new MigrationError(
      'ERR_PRIVILEGE_MISSING',
      `Cannot ${doing}: the operator's login may not: ${message}; give it what is missing, or use a superuser`,
      facts,
    )
  if (code === '55P03')
    return new UnavailableError(
      'ERR_TIMEOUT',
      `Cannot ${doing}: its statements did not end in time; try again, or suspend the tenant first`,
      facts,
    )
  if (code === '40001' || code === '40P01')
    return new UnavailableError(
      'ERR_TRANSACTION_CONFLICT',
      `Cannot ${doing}: another transaction came in between`,
      facts,
    )
  if (
    /^(08|53|57P)|^E(CONN|PIPE|HOST|NET|TIMEDOUT|AI_)/.test(code) ||
    (code === '' && /terminated|connection|premature close/i.test(message))
  )
    return new UnavailableError(
      'ERR_DATABASE_UNAVAILABLE',
      `Cannot ${doing}: the connection was lost: ${message}`,
      facts,
    )
  if (/^(22|23)/.test(code))
    return new ArtefactError(
      'ERR_RESTORE_UNPROVEN',
      `Cannot ${doing}: PostgreSQL refuses a row: ${message}; nothing was changed`,
      facts,
    )
  return error as Error
}
