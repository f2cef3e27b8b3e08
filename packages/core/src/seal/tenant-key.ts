import { hkdfSync } from 'node:crypto'
import { ConfigError } from '../errors.ts'
import type { TenantId } from '../tenant/tenant-id.ts'

/** The two pads of a tenant's HMAC-SHA256 key, as the database keeps them (RFC 2104: key XOR 0x36…, key XOR 0x5c…). */
export interface TenantKey {
  readonly ipad: Buffer
  readonly opad: Buffer
}

/** Block size of SHA-256 in bytes; HMAC pads its key to it. */
const BLOCK_BYTES = 64

/** Fewer than 32 bytes of root key would make every tenant's key guessable at once. */
const MIN_ROOT_KEY_BYTES = 32

/** The key all tenant keys come from. Printing it shows nothing: it must not reach a log by accident. */
export class RootKey {
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /**
   * Derives the key of one tenant and version (HKDF-SHA256), so that no tenant's key is stored outside the
   * database the tenant lives in, and one tenant's key says nothing about another's.
   */
  deriveTenantKey(tenantId: TenantId, version: number): TenantKey {
    const key = Buffer.alloc(BLOCK_BYTES)
    Buffer.from(hkdfSync('sha256', this.#bytes, 'rowhouse seal v1', `${tenantId}|${version}`, 32)).copy(key)
    return { ipad: key.map((byte) => byte ^ 0x36) as Buffer, opad: key.map((byte) => byte ^ 0x5c) as Buffer }
  }

  /**
   * Derives the key of a tenant's advisory lock. It depends on the root key, so that one tenant cannot compute
   * another's and hold it (SHR-02); it does not depend on the key version, because movers of all versions must meet.
   */
  deriveLockKey(tenantId: TenantId): string {
    const bytes = Buffer.from(hkdfSync('sha256', this.#bytes, 'rowhouse lock v1', tenantId, 8))
    return bytes.readBigInt64BE().toString()
  }

  /**
   * Derives a key for a tenant's backups: `sign` for the manifest, `wrap` for the key of the data, `name` to tell which root
   * key it was, without saying anything about it.
   */
  deriveArtefactKey(tenantId: TenantId, use: 'sign' | 'wrap' | 'name'): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#bytes, 'rowhouse artefact v1', `${use}|${tenantId}`, 32))
  }

  /** Derives the key of the platform's erase certificates. Not a tenant's: it is verified when the tenant is gone. */
  deriveErasureKey(): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#bytes, 'rowhouse erasure v1', 'certificate', 32))
  }

  toJSON(): string {
    return '[root key]'
  }

  toString(): string {
    return '[root key]'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[root key]'
  }
}

/**
 * Reads a root key written as hex or base64, of at least 32 bytes.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when it is missing, unreadable or too short; the message never shows it
 */
export function parseRootKey(text: string | undefined): RootKey {
  if (text === undefined || text === '') {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot start without a root key: set ROWHOUSE_ROOT_KEY to 32 random bytes, e.g. from "openssl rand -hex 32"',
    )
  }
  const bytes = /^(?:[0-9a-fA-F]{2})+$/.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64')
  if (bytes.length < MIN_ROOT_KEY_BYTES) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot use this root key: it has ${bytes.length} bytes, wanted at least ${MIN_ROOT_KEY_BYTES} as hex or base64`,
    )
  }
  return new RootKey(bytes)
}
