import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ExportTenant } from '../lifecycle/offboard.ts'
import { type BackupsOptions, openBackups } from './backups.ts'
import type { ExportFormat } from './export-tenant.ts'
import { folderStore } from './folder-store.ts'

export interface ExportToFolderOptions extends Pick<BackupsOptions, 'url' | 'rootKey'> {
  /** Is made where it is missing; holds a folder per tenant and offboarding. */
  readonly folder: string
  /** @defaultValue 'csv' */
  readonly format?: ExportFormat
}

/**
 * Makes an `exportTenant` of the configuration that writes a leaving tenant's rows into a folder, as `backups.export` does.
 * Nothing is encrypted: who reads the folder reads the data.
 *
 * The function it returns throws {ArtefactError} `ERR_ARTEFACT_STORE` when the folder cannot be written, and what
 * `openBackups` throws. Called again by the same offboarding, it returns what is there.
 *
 * @example
 * ```ts
 * import { exportToFolder, openControlPlane } from 'rowhouse-server'
 * const access = { url: process.env.ROWHOUSE_ADMIN_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY }
 * const plane = await openControlPlane({ ...access, exportTenant: exportToFolder({ ...access, folder: 'exports' }) })
 * await plane.close()
 * ```
 */
export function exportToFolder({ folder, format, url, rootKey }: ExportToFolderOptions): ExportTenant {
  return async ({ id }, { idempotencyKey }) => {
    const target = resolve(folder, id, idempotencyKey)
    const reference = pathToFileURL(target).href
    // It gets its name when it is whole.
    if (existsSync(target)) return { reference }
    await rm(`${target}.partial`, { recursive: true, force: true })
    const backups = await openBackups({ url, rootKey, store: folderStore(join(folder, id)) })
    try {
      await backups.export(id, target, format)
      return { reference }
    } finally {
      await backups.close()
    }
  }
}
