import { findTenantContext } from './tenant-context.ts'

/** The part of pino's logger that Rowhouse uses: any logger with these four methods serves. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * Returns the fields that put the running tenant on a log line; empty outside of any tenant.
 *
 * @example Every line of an application's logger names its tenant
 * ```ts
 * import pino from 'pino'
 * import { tenantLogFields } from 'rowhouse'
 * const log = pino({ mixin: tenantLogFields })
 * log.info('booked')   // {"level":30,…,"tenant":"acme","tenantId":"0190…","msg":"booked"}
 * ```
 */
export function tenantLogFields(): { tenant?: string; tenantId?: string; actor?: string } {
  const context = findTenantContext()
  if (context === undefined) return {}
  const { tenant, actor } = context
  return { tenant: tenant.slug, tenantId: tenant.id, ...(actor === undefined ? {} : { actor }) }
}

/** A logger whose every line carries the running tenant. */
export function withTenantFields(log: Logger): Logger {
  return {
    debug: (fields, message) => log.debug({ ...tenantLogFields(), ...fields }, message),
    info: (fields, message) => log.info({ ...tenantLogFields(), ...fields }, message),
    warn: (fields, message) => log.warn({ ...tenantLogFields(), ...fields }, message),
    error: (fields, message) => log.error({ ...tenantLogFields(), ...fields }, message),
  }
}
