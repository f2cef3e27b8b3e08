import { createHash } from 'node:crypto'
import type { TenantId } from 'rowhouse'
import type { RootKey } from 'rowhouse/install'

/** The platform's own tenant: the nil UUID. */
const PLATFORM_ID = '00000000-0000-0000-0000-000000000000' as TenantId

/**
 * Tells the platforms of one server apart: eight hexadecimal digits of a hash of what each derives from its root key.
 * Names and comments of databases carry it, since databases belong to the whole server.
 */
export function platformIdOf(rootKey: RootKey): string {
  return createHash('sha256').update(rootKey.deriveTenantKey(PLATFORM_ID, 1).opad).digest('hex').slice(0, 8)
}
