import type { CheckedRequest } from './request-facts.ts'

/** What an API key begins with, by which it is told from tokens that travel in the same header. */
export const API_KEY_PREFIX = 'rh_'

/**
 * Returns what follows `Bearer` in the Authorization header, undefined when another scheme or nothing stands there.
 *
 * Empty or with spaces inside, it is returned as well: a credential that is present must be judged, not overlooked.
 */
export function findBearerToken(request: CheckedRequest): string | undefined {
  const match = /^bearer(?:[ \t]+(.*))?$/i.exec(request.header('authorization') ?? '')
  return match === null ? undefined : (match[1] ?? '')
}
