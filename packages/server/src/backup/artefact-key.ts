import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { ArtefactError, type TenantId } from 'rowhouse'
import type { RootKey } from 'rowhouse/install'

const CIPHER = 'aes-256-gcm'
const TAG_BYTES = 16
const NONCE_BYTES = 12

/** Makes the key of one artefact, and the same wrapped with the key of its tenant. */
export function createDataKey(
  rootKey: RootKey,
  tenantId: TenantId,
  artefact: string,
): { key: Buffer; wrapped: string } {
  const key = randomBytes(32)
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, rootKey.deriveArtefactKey(tenantId, 'wrap'), nonce, {
    authTagLength: TAG_BYTES,
  })
  cipher.setAAD(boundTo(tenantId, artefact))
  const wrapped = Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()])
  return { key, wrapped: wrapped.toString('base64') }
}

/** @throws {ArtefactError} `ERR_ARTEFACT_DAMAGED` for a key of another artefact or tenant */
export function unwrapDataKey(rootKey: RootKey, tenantId: TenantId, artefact: string, wrapped: string): Buffer {
  const bytes = Buffer.from(wrapped, 'base64')
  try {
    const decipher = createDecipheriv(
      CIPHER,
      rootKey.deriveArtefactKey(tenantId, 'wrap'),
      bytes.subarray(0, NONCE_BYTES),
      { authTagLength: TAG_BYTES },
    )
    decipher.setAAD(boundTo(tenantId, artefact))
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
  } catch (error) {
    throw new ArtefactError(
      'ERR_ARTEFACT_DAMAGED',
      `Cannot open artefact "${artefact}": the key in its manifest is not its own; use another backup`,
      { cause: error },
    )
  }
}

/** Tells root keys apart: sixteen hexadecimal digits that say nothing about the key. */
export function nameOfKey(rootKey: RootKey, tenantId: TenantId): string {
  return rootKey.deriveArtefactKey(tenantId, 'name').toString('hex').slice(0, 16)
}

function boundTo(tenantId: string, artefact: string): Buffer {
  return Buffer.from(`rowhouse-artefact/1|${tenantId}|${artefact}`)
}
