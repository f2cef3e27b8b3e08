import type { TenantKey } from '../tenant/directory.ts'
import type { CheckedRequest } from './request-facts.ts'
import type { TenantSource } from './tenant-source.ts'

/**
 * Reads the tenant in a way of your own, e.g. from the session fixed at login.
 *
 * @param name  shown in logs
 * @param find  returns how the request names its tenant, or undefined when it says nothing here
 * @example
 * ```ts
 * import { fromFunction } from 'rowhouse'
 * const sessions = new Map([['s1', 'acme']])
 * const source = fromFunction('session', (request) => {
 *   const tenant = sessions.get(request.header('x-session') ?? '')
 *   return tenant === undefined ? undefined : { by: 'slug', value: tenant }
 * })
 * console.assert(source.name === 'session')
 * ```
 */
export function fromFunction(
  name: string,
  find: (request: CheckedRequest) => TenantKey | undefined | Promise<TenantKey | undefined>,
): TenantSource {
  return { name, find }
}
