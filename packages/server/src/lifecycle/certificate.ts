import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { parseRootKey, type RootKey } from 'rowhouse/install'
import type { RowsFound } from './tenant-rows.ts'

export const CERTIFICATE_FORMAT = 'rowhouse-erase-certificate/1'

/** What is left of an erased tenant, where, and until when. */
export interface Remainder {
  readonly what: string
  readonly where: string
  /** ISO 8601; null where it stays for good, or where only the operator knows. `why` says which. */
  readonly until: string | null
  readonly why: string
}

/** What was erased of a tenant, on whose word, and what remains. Names the tenant by its id: its slug is a digest. */
export interface EraseCertificate {
  readonly format: typeof CERTIFICATE_FORMAT
  readonly tenantId: string
  /** `slugDigest(tenantId, slug)`: who knows the slug can check it, nobody can read it. */
  readonly slugDigest: string
  readonly reason: string
  readonly requestedBy: string
  readonly offboarding: {
    readonly requestedBy: string
    readonly requestedAt: string
    readonly reason: string
    readonly retainUntil: string
    /** As the export named itself; null when there was none. */
    readonly exportReference: string | null
  }
  readonly beforeRetentionEnded: boolean
  readonly beganAt: string
  readonly erasedAt: string
  readonly home: { readonly server: string; readonly region: string; readonly model: string }
  /** Rows of each tenant table, counted before the first one went. */
  readonly erased: readonly RowsFound[]
  readonly removed: {
    readonly namespace: 'schema' | 'database' | null
    readonly domains: number
    readonly apiKeys: number
    readonly journalEntries: number
  }
  /** Servers whose tables were looked through afterwards. */
  readonly proof: readonly { readonly server: string; readonly tablesRead: number; readonly rowsLeft: number }[]
  readonly remains: readonly Remainder[]
}

export interface SealedCertificate {
  readonly certificate: EraseCertificate
  /** SHA-256 of the canonical form, hex. */
  readonly sha256: string
  /** HMAC-SHA256 of the canonical form by a key of the root key, hex. */
  readonly hmac: string
}

/** Whether a certificate is what was written. */
export type CertificateVerdict =
  | { readonly valid: true }
  | { readonly valid: false; readonly fault: 'malformed' | 'digest' | 'signature' }

export function slugDigest(tenantId: string, slug: string): string {
  return createHash('sha256').update(`rowhouse slug v1|${tenantId}|${slug}`).digest('hex')
}

export function sealCertificate(rootKey: RootKey, certificate: EraseCertificate): SealedCertificate {
  const text = canonicalJson(certificate)
  return { certificate, ...signaturesOf(rootKey, text) }
}

/**
 * Tells whether an erase certificate was written by the platform with this root key, and not changed since.
 *
 * @param document  what `rowhouse tenant erase` printed, parsed; anything else is `malformed`
 * @returns `digest` when the text was changed, `signature` when it was written with another root key or by somebody else
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a root key that is none
 * @example
 * ```ts
 * import { verifyCertificate } from 'rowhouse-server'
 * const verdict = verifyCertificate('ab'.repeat(32), { certificate: {}, sha256: '', hmac: '' })
 * console.assert(!verdict.valid && verdict.fault === 'malformed')
 * ```
 */
export function verifyCertificate(rootKey: string | undefined, document: unknown): CertificateVerdict {
  const key = parseRootKey(rootKey)
  const { certificate, sha256, hmac } = (document ?? {}) as Partial<SealedCertificate>
  if (typeof certificate !== 'object' || certificate?.format !== CERTIFICATE_FORMAT) return broken('malformed')
  const wanted = signaturesOf(key, canonicalJson(certificate))
  if (!isSame(sha256, wanted.sha256)) return broken('digest')
  return isSame(hmac, wanted.hmac) ? { valid: true } : broken('signature')
}

function broken(fault: 'malformed' | 'digest' | 'signature'): CertificateVerdict {
  return { valid: false, fault }
}

function signaturesOf(rootKey: RootKey, text: string): { sha256: string; hmac: string } {
  return {
    sha256: createHash('sha256').update(text).digest('hex'),
    hmac: createHmac('sha256', rootKey.deriveErasureKey()).update(text).digest('hex'),
  }
}

function isSame(given: unknown, wanted: string): boolean {
  return (
    typeof given === 'string' &&
    given.length === wanted.length &&
    timingSafeEqual(Buffer.from(given), Buffer.from(wanted))
  )
}

/** One text for one content: keys in order, no blanks. Whole numbers, texts, booleans and null only (as RFC 8785 has them). */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${canonicalJson(each)}`).join(',')}}`
}
