import { fromApiKey, fromSubdomain, fromTrustedHeader } from 'rowhouse'

/**
 * Where requests of the freight application may say which tenant they are for: the host, an API key, and a header
 * that counts only from the machine's own proxy. All that speak must agree.
 */
export function tenantSources() {
  return [fromSubdomain({ base: ['localhost'] }), fromApiKey(), fromTrustedHeader({ header: 'x-tenant', proxies: [] })]
}
