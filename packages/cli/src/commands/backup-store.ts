import { isAbsolute, join } from 'node:path'
import { ConfigError } from 'rowhouse'
import { createTenantAdmin } from 'rowhouse/install'
import type { ArtefactStore, Backups, TableProgress } from 'rowhouse-server'
import type { Io } from '../command.ts'
import { type ConfigFlags, configFlags, loadServer } from '../control-plane.ts'
import { progressLine } from '../progress.ts'
import { adminSettings, readSetting } from '../settings.ts'

export interface BackupFlags extends ConfigFlags {
  readonly store?: string
}

/** Flags of every command on backups. */
export const backupFlags = {
  ...configFlags,
  store: {
    kind: 'parsed',
    parse: String,
    optional: true,
    placeholder: 'folder',
    brief: 'Folder of the backups, or s3://bucket/prefix [default = ROWHOUSE_BACKUPS]',
  },
} as const

/** Opens the backups of the platform, hands them to `work` and closes them. */
export async function withBackups<T>(io: Io, flags: BackupFlags, work: (backups: Backups) => Promise<T>): Promise<T> {
  const store = flags.store ?? readSetting(io.env, 'ROWHOUSE_BACKUPS')
  if (store === undefined || store === '')
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot work with backups: no folder is named; give --store, or set ROWHOUSE_BACKUPS',
    )
  const { findConfig, openBackups } = await loadServer()
  const folder = io.cwd ?? process.cwd()
  // Only a rehearsal needs the migrations; who backs up need not stand in the project.
  const config = await findConfig(folder, flags.config)
  const migrations = config?.migrations
  const backups = await openBackups({
    ...adminSettings(io.env, flags),
    store: await openStore(io, store),
    ...(migrations !== undefined && { migrations }),
  })
  try {
    return await work(backups)
  } finally {
    await backups.close()
  }
}

/** What was named begins with a scheme, as no folder does that somebody means. */
const SCHEME = /^([a-z][a-z0-9+.-]+):\/\//i

async function openStore(io: Io, named: string): Promise<ArtefactStore> {
  const scheme = SCHEME.exec(named)?.[1]
  if (scheme === undefined) return (await loadServer()).folderStore(inFolder(io, named))
  if (scheme !== 's3')
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot keep backups in "${named}": wanted a folder, or s3://bucket/prefix`,
    )
  const { s3Store } = await loadS3(named)
  const [bucket = '', ...prefix] = named.slice('s3://'.length).split('/')
  return s3Store({ bucket, prefix: prefix.join('/') })
}

/** Loaded where a store is a bucket: who keeps backups in folders need not have it. */
function loadS3(named: string): Promise<typeof import('rowhouse-s3')> {
  return import('rowhouse-s3').catch((cause: { code?: string }) => {
    if (cause.code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot keep backups in "${named}": the package rowhouse-s3 is not installed; install it beside rowhouse-cli`,
      { cause },
    )
  })
}

/** A path somebody typed starts from the folder the command runs in. */
export function inFolder(io: Io, path: string): string {
  return isAbsolute(path) ? path : join(io.cwd ?? process.cwd(), path)
}

/** Shows how many tables are done. */
export function tableProgress(io: Io, json: boolean): (progress: TableProgress) => void {
  const show = progressLine(io, json)
  return ({ table, done, total }) => show(done, total, table)
}

const PAGE = 1_000

/** Returns the slugs of all tenants that have data to keep. */
export async function listTenantsToKeep(io: Io, flags: BackupFlags): Promise<string[]> {
  const tenants = createTenantAdmin(adminSettings(io.env, flags))
  try {
    const slugs: string[] = []
    for (let after = ''; ; ) {
      const page = await tenants.list({ limit: PAGE, after })
      const kept = page.filter(({ state }) => state === 'active' || state === 'suspended' || state === 'offboarding')
      slugs.push(...kept.map(({ slug }) => slug))
      if (page.length < PAGE) return slugs
      after = page.at(-1)?.slug ?? ''
    }
  } finally {
    await tenants.close()
  }
}
