import type { TenantId } from 'rowhouse'

/**
 * Names a tenant's own schema or database after its id, in the shape of `rowhouse.is_home`.
 *
 * Opaque on purpose: every login of a server sees the names of all its schemas and databases (ROL-07, ROL-09), so a
 * slug in them would tell each customer who the others are.
 */
export function homeName(id: TenantId): string {
  const hex = id.replaceAll('-', '')
  return `t_${hex.slice(0, 20)}_${hex.slice(20)}`
}
