import { join } from 'node:path'
import pg from 'pg'
import pino, { type Logger } from 'pino'
import { createRowhouse, type Rowhouse } from 'rowhouse'
import { createTenantAdmin, install } from 'rowhouse/install'
import { createFreightApp } from '../app/app.ts'
import { createLanding } from '../app/landing.tsx'
import { tenantSources } from '../app/tenant-sources.ts'
import { createLab } from '../lab/lab.tsx'
import type { LabTenant } from '../lab/lab-tenant.ts'
import { createWeakTwins } from '../lab/weak-twins.ts'
import type { ProgressEvent } from '../progress.ts'
import { analyzeFreight, applyFreightSchema, vacuumFreight } from '../schema.ts'
import { type TenantProfile, tenantProfiles } from '../seed/profiles.ts'
import { DEFAULT_SHIPMENTS, seedFreight } from '../seed/seed.ts'
import { openDemoDatabase } from './demo-database.ts'
import { type DemoSecrets, loadDemoSecrets } from './demo-secrets.ts'
import { enrolLabTenants, ensureTenants } from './demo-tenants.ts'
import { hostRouter } from './host-router.ts'
import { type HybridHomes, makeHybridTenants } from './hybrid-tenants.ts'
import { type Fetch, openDoor } from './listen.ts'

export interface FreightDemoOptions {
  /** TCP port on 127.0.0.1; 0 picks a free one. @defaultValue 4000 */
  readonly port?: number
  /** Folder that keeps the database, the secrets and the log. @defaultValue '.rowhouse/demo' */
  readonly dataDir?: string
  /** Shipments of all tenants together. Data of an earlier start stays as it is. @defaultValue 500 000 */
  readonly shipments?: number
  /** @defaultValue 50 */
  readonly tenants?: number
  /** URL of an operator's login on a database to use instead of the demonstration's own PostgreSQL. */
  readonly databaseUrl?: string
  /** Tenants with a schema or a database of their own, also on a second server. @defaultValue all share tables */
  readonly hybrid?: HybridHomes
  onProgress(event: ProgressEvent): void
  /** Aborting it ends the start, or stops what was started. */
  readonly signal?: AbortSignal
}

export interface FreightDemo {
  /** The landing page first, then what is worth opening next. */
  readonly urls: string[]
  /** Stops serving and ends the database this demonstration started. Safe to call twice. */
  stop(): Promise<void>
}

const DEFAULT_TENANTS = 50
const DEFAULT_PORT = 4000

/**
 * Starts the freight demonstration: PostgreSQL, Rowhouse, fifty companies with half a million shipments, the pages.
 *
 * The first start makes all of it and takes about a minute; later ones find it in `dataDir` and take seconds. Its own
 * PostgreSQL runs without fsync: its data may be lost in a power cut. It contains an attack laboratory, so it listens
 * on loopback and nowhere else.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the port is taken or the secrets do not fit the database
 * @throws {RangeError} when `tenants` or `shipments` cannot be made
 * @example
 * ```ts
 * const demo = await startFreightDemo({ onProgress: ({ step, done, total }) => console.log(step, done, total) })
 * console.log(demo.urls[0]) // http://localhost:4000
 * await demo.stop()
 * ```
 */
export async function startFreightDemo(options: FreightDemoOptions): Promise<FreightDemo> {
  const closers: (() => Promise<unknown>)[] = []
  let stopped: Promise<void> | undefined
  // Whoever asks second waits for the first: a process that ends in between would leave the database running.
  const stop = () => {
    stopped ??= closeAll(closers)
    return stopped
  }
  try {
    const urls = await start(options, (close) => closers.push(close))
    options.signal?.addEventListener('abort', () => void stop().catch(() => {}), { once: true })
    return { urls, stop }
  } catch (error) {
    // What failed is the news; a failure to clean up after it would hide it.
    await stop().catch(() => {})
    throw error
  }
}

/** Closes last first. One that fails does not keep the others open; its error is thrown at the end. */
async function closeAll(closers: (() => Promise<unknown>)[]): Promise<void> {
  const errors: unknown[] = []
  for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
    await close().catch((error) => errors.push(error))
  }
  if (errors.length > 0) throw errors[0]
}

/** The start, in order. `onStop` takes what has to be undone, last first. */
async function start(options: FreightDemoOptions, onStop: (close: () => Promise<unknown>) => void): Promise<string[]> {
  const { dataDir = join('.rowhouse', 'demo'), port = DEFAULT_PORT, databaseUrl, onProgress, signal } = options
  const profiles = tenantProfiles(options.tenants ?? DEFAULT_TENANTS)
  const secrets = await loadDemoSecrets(dataDir)

  // The port comes first: that it is taken should be said now, not after a minute of preparation.
  const door = await openDoor(port)
  onStop(door.close)
  const database = await openDemoDatabase(dataDir, databaseUrl, secrets, onProgress)
  onStop(database.stop)
  signal?.throwIfAborted()
  await prepareDatabase(database.adminUrl, secrets, profiles, options)

  const log = openLog(join(dataDir, 'freight.log'))
  onStop(() => flush(log))
  const admin = createTenantAdmin({ url: database.adminUrl, rootKey: secrets.rootKey })
  onStop(async () => admin.close())
  await ensureTenants(admin, profiles, onProgress)
  const rowhouse = await createRowhouse({
    url: database.appUrl,
    rootKey: secrets.rootKey,
    sources: tenantSources(),
    log,
    applicationName: 'freight',
  })
  onStop(rowhouse.close)
  await fill(rowhouse, database.adminUrl, profiles, options)

  const lab = await enrolLabTenants(admin, rowhouse, profiles)
  onStop(lab.release)
  const slugs = lab.tenants.map(({ slug }) => slug)
  const twins = await createWeakTwins(database.adminUrl, rowhouse, slugs)
  onStop(twins.drop)
  const stockPool = new pg.Pool({ connectionString: twins.url, max: 4 })
  onStop(() => stockPool.end())
  onProgress({ step: 'serve' })
  door.serve(createSites({ rowhouse, stockPool, log, secrets, profiles, lab: lab.tenants, port: door.port }))
  onProgress({ step: 'ready' })
  return urlsOf(door.port, profiles)
}

async function prepareDatabase(
  url: string,
  { rootKey, appPassword }: DemoSecrets,
  profiles: readonly TenantProfile[],
  { hybrid, onProgress }: FreightDemoOptions,
) {
  onProgress({ step: 'install' })
  await install({ url, rootKey, appPassword })
  if (hybrid !== undefined) return makeHybridTenants({ url, rootKey, profiles, onProgress, ...hybrid })
  onProgress({ step: 'schema' })
  await applyFreightSchema(url)
}

async function fill(
  rowhouse: Rowhouse,
  adminUrl: string,
  profiles: readonly TenantProfile[],
  options: FreightDemoOptions,
) {
  const { shipments = DEFAULT_SHIPMENTS, onProgress, signal } = options
  const analyze = () => analyzeFreight(adminUrl)
  const report = await seedFreight(rowhouse, { profiles, shipments, onProgress, analyze, signal })
  if (report.shipments === 0) return
  onProgress({ step: 'analyze', note: `wrote ${report.rows} rows in ${report.seconds.toFixed(1)} s` })
  await vacuumFreight(adminUrl)
}

interface SitesConfig {
  readonly rowhouse: Rowhouse
  readonly stockPool: pg.Pool
  readonly log: Logger
  readonly secrets: DemoSecrets
  readonly profiles: readonly TenantProfile[]
  readonly lab: readonly LabTenant[]
  readonly port: number
}

/** The landing page at the bare host, the application at the tenants' hosts. */
function createSites({ rowhouse, stockPool, log, secrets, profiles, lab, port }: SitesConfig): Fetch {
  const application = createFreightApp({
    rowhouse,
    log,
    sessionKey: Buffer.from(secrets.sessionKey, 'base64'),
    anonymous: 'director',
    frameAncestors: `http://localhost:${port}`,
    lab: createLab({ rowhouse, stockPool, log, tenants: lab, port: () => port }),
  })
  const landing = createLanding({ rowhouse, tenants: profiles, port: () => port })
  return hostRouter({ landing: landing.fetch, application: application.fetch })
}

function urlsOf(port: number, profiles: readonly TenantProfile[]): string[] {
  const tenantUrls = profiles.slice(0, 2).map(({ slug }) => `http://${slug}.localhost:${port}`)
  return [`http://localhost:${port}`, ...tenantUrls, `${tenantUrls[0]}/lab`]
}

/** The log is a file, because the terminal belongs to the progress. */
function openLog(file: string): Logger {
  return pino({ name: 'freight', level: 'info' }, pino.destination({ dest: file, mkdir: true, sync: false }))
}

function flush(log: Logger): Promise<void> {
  return new Promise((resolve) => log.flush(() => resolve()))
}
