import { fromApiKey, fromCustomDomain, fromSubdomain, type TenantSource } from 'rowhouse'

/**
 * Where a request may say which broker it is for: `<slug>.<base>`, a host entered for the broker, or an API key. All
 * that speak must agree: a key of one broker at the host of another is refused.
 */
export function tenantSources(base: string): readonly TenantSource[] {
  return [fromSubdomain({ base }), fromCustomDomain({ exceptUnder: base }), fromApiKey()]
}
