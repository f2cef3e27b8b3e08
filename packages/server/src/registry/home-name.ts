import type { TenantId } from 'rowhouse'

/** Leaves room for the prefix and the id within PostgreSQL's 63 bytes (`rowhouse.is_home`). */
const MAX_SLUG_PART = 40

/**
 * Names a tenant's own schema or database: readable by people, and never two tenants' the same.
 *
 * Slugs are ASCII; the end of the id tells apart those that are cut or differ in a hyphen only.
 */
export function homeName(slug: string, id: TenantId): string {
  const readable = slug.replaceAll('-', '_').slice(0, MAX_SLUG_PART).padEnd(2, '_')
  return `t_${readable}_${id.replaceAll('-', '').slice(-12)}`
}
