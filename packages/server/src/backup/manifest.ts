import { createHmac, timingSafeEqual } from 'node:crypto'
import { ArtefactError, isTenantId, type TenantId } from 'rowhouse'
import type { RootKey } from 'rowhouse/install'
import { nameOfKey } from './artefact-key.ts'
import type { FileDigest } from './frames.ts'

export const FORMAT = 'rowhouse-artefact'
/** Raised when an older program could no longer read what is written. */
export const FORMAT_VERSION = 1

/** What an artefact says of itself. `docs/reference/artefact-format.md` explains each field. */
export interface Manifest {
  readonly format: typeof FORMAT
  readonly version: number
  /** UUID of the artefact. */
  readonly artefact: string
  readonly platform: string
  readonly tenant: { readonly id: TenantId; readonly slug: string }
  readonly source: {
    readonly model: string
    readonly server: string
    readonly epoch: number
    readonly postgres: string
  }
  /** When the snapshot was taken, ISO 8601. Everything committed before is in it, nothing committed after. */
  readonly takenAt: string
  readonly schemaDigest: string
  readonly key: { readonly name: string; readonly wrapped: string }
  /** Parents first. */
  readonly tables: readonly TableEntry[]
}

/** One table of an artefact. */
export interface TableEntry {
  readonly name: string
  /** Columns of the file, in order; without `tenant_id`, so that rows can be anybody's. */
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly key: readonly string[]
  readonly rows: number
  /** `RowSum` of the rows. */
  readonly sum: string
  readonly sequences: readonly { readonly column: string; readonly value: string }[]
  readonly file: FileDigest & { readonly name: string }
}

/** Writes a manifest with its signature, which is bound to tenant and root key. */
export function signManifest(rootKey: RootKey, manifest: Manifest): Buffer {
  const signature = signatureOf(rootKey, manifest.tenant.id, manifest)
  return Buffer.from(`${JSON.stringify({ ...manifest, signature }, null, 2)}\n`)
}

/**
 * Reads a manifest and checks its signature.
 *
 * @throws {ArtefactError} `ERR_ARTEFACT_NEWER`, `ERR_ARTEFACT_KEY` for another root key, `ERR_ARTEFACT_DAMAGED` for what was
 *   altered, cut off or never a manifest
 */
export function openManifest(rootKey: RootKey, name: string, text: Buffer): Manifest {
  const { signature, ...body } = parse(name, text)
  const manifest = body as unknown as Manifest
  if (manifest.format !== FORMAT) throw damaged(name, 'its manifest is none')
  if (typeof manifest.version === 'number' && manifest.version > FORMAT_VERSION) {
    throw new ArtefactError(
      'ERR_ARTEFACT_NEWER',
      `Cannot read artefact "${name}": it has format ${manifest.version}, this version knows ${FORMAT_VERSION} and older; use the version that made it, or a newer one`,
    )
  }
  const { id } = manifest.tenant ?? {}
  if (typeof id !== 'string' || !isTenantId(id)) throw damaged(name, 'its manifest names no tenant')
  if (manifest.key?.name !== nameOfKey(rootKey, id)) {
    throw new ArtefactError(
      'ERR_ARTEFACT_KEY',
      `Cannot open artefact "${name}": it was made with another root key; set ROWHOUSE_ROOT_KEY to that one`,
      { tenantId: id },
    )
  }
  const wanted = Buffer.from(signatureOf(rootKey, id, body))
  const found = Buffer.from(typeof signature === 'string' ? signature : '')
  if (wanted.length !== found.length || !timingSafeEqual(wanted, found))
    throw damaged(name, 'the signature does not fit its manifest')
  return manifest
}

function parse(name: string, text: Buffer): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text.toString('utf8'))
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw damaged(name, 'its manifest is not readable')
}

/** Over the values, not over the spaces between them. */
function signatureOf(rootKey: RootKey, tenantId: TenantId, body: object): string {
  return createHmac('sha256', rootKey.deriveArtefactKey(tenantId, 'sign'))
    .update(`${FORMAT}\n${JSON.stringify(body)}`)
    .digest('hex')
}

function damaged(name: string, what: string): ArtefactError {
  return new ArtefactError('ERR_ARTEFACT_DAMAGED', `Cannot open artefact "${name}": ${what}; use another backup`)
}
