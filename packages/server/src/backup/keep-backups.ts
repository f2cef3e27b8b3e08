import { ConfigError, isRowhouseError } from 'rowhouse'
import type { RegisteredTenant, TenantAdmin } from 'rowhouse/install'
import { unlessAtWork } from './backup-lock.ts'
import { forgetBackups, isBetweenPlaces, readDrillAges, readVerdicts } from './backup-record.ts'
import type { DrillReport, Stage } from './drill-backup.ts'
import { openArtefact } from './open-artefact.ts'
import { createRecorded, drillRecorded } from './recorded.ts'
import { namesToRemove, type Retention, removeOld, requireRetention, sweepAbandoned, timeOf } from './retention.ts'
import type { BackupRoom } from './tenant-session.ts'

export interface KeepOptions {
  /** A tenant whose newest good backup is older gets another one. Hours, 1 to 8,760. */
  readonly everyHours: number
  /** Which backups stay. @defaultValue all */
  readonly retention?: Retention
  /** Of all tenants, one restore is rehearsed this often. Hours, 1 to 8,760; `false` for never. @defaultValue 24 */
  readonly drillEveryHours?: number | false
  /** Told of each tenant when it is done. */
  readonly onTenant?: (kept: KeptTenant, done: number, total: number) => void
}

/** What was done for a tenant. */
export interface KeptTenant {
  readonly tenant: string
  /**
   * `fresh`: its backup is young enough · `backed-up` · `deferred`: it is being moved, the next run looks again · `busy`:
   * another run is at it · `failed`: see `failures` · `left`: it has begun to leave since the run began.
   */
  readonly outcome: 'fresh' | 'backed-up' | 'deferred' | 'busy' | 'failed' | 'left'
  /** The backup that was made. */
  readonly name?: string
  readonly rows?: number
}

/** Something that went wrong while the rest went on. */
export interface KeepFailure {
  readonly doing: 'backup' | 'prune' | 'drill' | 'sweep'
  /** Slug, or the id of a tenant that has left; undefined for what is of no tenant. */
  readonly tenant: string | undefined
  /** Null for an error that is not Rowhouse's own. */
  readonly code: string | null
  readonly message: string
}

export interface KeepReport {
  /** All that are active or suspended, by slug. */
  readonly tenants: readonly KeptTenant[]
  /** The rehearsal that was due and passed. */
  readonly drill: DrillReport | undefined
  readonly removed: readonly string[]
  /** Backups that were never finished. */
  readonly swept: number
  /** Empty when nobody has to look. */
  readonly failures: readonly KeepFailure[]
}

/** What keeping takes besides: all tenants have to be found. */
type KeepRoom = BackupRoom & { readonly tenants: Pick<TenantAdmin, 'find' | 'list'> }

const HOUR_MS = 3_600_000
/**
 * A timer of every 24 hours never finds a backup that is quite 24 hours old: it was finished a little after the timer went
 * off. Without this it would be made every other day.
 */
const EARLY = 0.95
const PAGE = 1_000

/**
 * Does what is due. Any number of processes may do so at once: each tenant, and the rehearsal, is one process's at a time, and
 * what another one has done meanwhile is seen before anything is done again.
 *
 * @throws {RangeError} for hours or a retention out of their range
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when restores are to be rehearsed and no migrations are known
 * @throws {ArtefactError} `ERR_ARTEFACT_STORE` when the store cannot be listed: nothing was done
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE` when the central database cannot be asked
 */
export async function keepBackups(
  room: KeepRoom,
  stage: Stage,
  { everyHours, retention, drillEveryHours = 24, onTenant }: KeepOptions,
): Promise<KeepReport> {
  requireHours('back up', everyHours)
  if (drillEveryHours !== false) requireHours('rehearse', drillEveryHours)
  if (drillEveryHours !== false && stage.migrations.length === 0)
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot rehearse restores: no migrations are known to make a database of; name their folder, or switch rehearsals off',
    )
  if (retention !== undefined) requireRetention(retention)
  const failures: KeepFailure[] = []
  const attempt: Attempt = (doing, tenant, work) =>
    work().catch((error: Error) => {
      failures.push({ doing, tenant, code: isRowhouseError(error) ? error.code : null, message: error.message })
      return undefined
    })
  const stored = groupByTenant(await room.store.list())
  const tenants = await listTenants(room)
  const kept: KeptTenant[] = []
  const removed: string[] = []
  const prune = async (id: string, tenant: string, names: readonly string[]) => {
    if (retention === undefined || namesToRemove(names, retention).length === 0) return
    const gone = await attempt('prune', tenant, () =>
      unlessAtWork(room.connections, workOn(id), () => pruneTenant(room, id, retention)),
    )
    removed.push(...(gone ?? []))
  }
  for (const tenant of tenants) {
    const names = stored.get(tenant.id) ?? []
    const one = await keepOne(room, tenant, names, everyHours * HOUR_MS * EARLY, attempt)
    if (one.name !== undefined) names.push(one.name)
    // What a tenant has is left to it while no new one can be made.
    if (one.outcome === 'fresh' || one.outcome === 'backed-up') await prune(tenant.id, tenant.slug, names)
    kept.push(one)
    onTenant?.(one, kept.length, tenants.length)
  }
  // Those who left have backups yet, and the same rules.
  const known = new Set<string>(tenants.map(({ id }) => id))
  for (const [id, names] of stored) {
    if (!known.has(id)) await prune(id, id, names)
  }
  const swept = retention === undefined ? 0 : await attempt('sweep', undefined, () => sweepAbandoned(room))
  const drill =
    drillEveryHours !== false
      ? await drillOldest(room, stage, tenants, drillEveryHours * HOUR_MS * EARLY, attempt)
      : undefined
  return { tenants: kept, drill, removed, swept: swept ?? 0, failures }
}

type Attempt = <T>(
  doing: KeepFailure['doing'],
  tenant: string | undefined,
  work: () => Promise<T>,
) => Promise<T | undefined>

async function keepOne(
  room: KeepRoom,
  { id, slug: tenant }: RegisteredTenant,
  names: readonly string[],
  maxAgeMs: number,
  attempt: Attempt,
): Promise<KeptTenant> {
  const kept = await attempt('backup', tenant, async (): Promise<KeptTenant> => {
    if (await hasRecent(room, names, maxAgeMs)) return { tenant, outcome: 'fresh' }
    const done = await unlessAtWork(room.connections, workOn(id), async (): Promise<KeptTenant> => {
      // The run that had the lock before may have made it.
      if (await hasRecent(room, await room.store.list(id), maxAgeMs)) return { tenant, outcome: 'fresh' }
      const state = (await room.tenants.find(id))?.state
      if (state !== 'active' && state !== 'suspended') return { tenant, outcome: 'left' }
      return backUp(room, id, tenant)
    })
    return done ?? { tenant, outcome: 'busy' }
  })
  return kept ?? { tenant, outcome: 'failed' }
}

async function backUp(room: KeepRoom, id: string, tenant: string): Promise<KeptTenant> {
  if (await isBetweenPlaces(room.connections, id)) return { tenant, outcome: 'deferred' }
  try {
    const { name, rows } = await createRecorded(room, id)
    return { tenant, outcome: 'backed-up', name, rows }
  } catch (error) {
    if (isRowhouseError(error) && error.code === 'ERR_TENANT_MOVING') return { tenant, outcome: 'deferred' }
    throw error
  }
}

/**
 * Whether one of these backups is young enough and good: made here, or opened by this key, and not found damaged by a
 * rehearsal.
 */
async function hasRecent(room: KeepRoom, names: readonly string[], maxAgeMs: number): Promise<boolean> {
  const young = names.filter((name) => Date.now() - timeOf(name).getTime() < maxAgeMs)
  if (young.length === 0) return false
  const verdicts = await readVerdicts(room.connections, young)
  for (const name of young.toReversed()) {
    const verdict = verdicts.get(name) ?? (await isOpenable(room, name))
    if (verdict === 'good') return true
  }
  return false
}

async function isOpenable(room: KeepRoom, name: string): Promise<'good' | 'bad'> {
  return openArtefact(room, name).then(
    () => 'good',
    (error) => {
      // What the store does not give now may be good.
      if (error.code === 'ERR_ARTEFACT_STORE') throw error
      return 'bad'
    },
  )
}

async function pruneTenant(room: KeepRoom, id: string, retention: Retention): Promise<string[]> {
  const removed = await removeOld(room, await room.store.list(id), retention)
  if (removed.length > 0) await forgetBackups(room.connections, removed)
  return removed
}

/** Rehearses one restore, when the last one of any tenant is long enough ago. */
async function drillOldest(
  room: KeepRoom,
  stage: Stage,
  tenants: readonly RegisteredTenant[],
  maxAgeMs: number,
  attempt: Attempt,
): Promise<DrillReport | undefined> {
  return attempt('drill', undefined, () =>
    unlessAtWork(room.connections, 'drill', async () => {
      const ages = await readDrillAges(room.connections)
      if (Math.min(...ages.values()) < maxAgeMs) return undefined
      const stored = groupByTenant(await room.store.list())
      const ageOf = ({ id }: RegisteredTenant) => ages.get(id) ?? Number.POSITIVE_INFINITY
      const [first, ...rest] = tenants.filter(({ id }) => stored.has(id))
      if (first === undefined) return undefined
      const oldest = rest.reduce((a, b) => (ageOf(b) > ageOf(a) ? b : a), first)
      return attempt('drill', oldest.slug, () => drillRecorded(room, stage, oldest.id))
    }),
  )
}

/** Those with rows that may change, or that come back: who is leaving has had its export. */
async function listTenants({ tenants }: KeepRoom): Promise<RegisteredTenant[]> {
  const found: RegisteredTenant[] = []
  for (let after = ''; ; ) {
    const page = await tenants.list({ limit: PAGE, after })
    found.push(...page.filter(({ state }) => state === 'active' || state === 'suspended'))
    if (page.length < PAGE) return found
    after = page.at(-1)?.slug ?? ''
  }
}

function groupByTenant(names: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const name of names) {
    const tenant = name.slice(0, 36)
    const group = groups.get(tenant)
    if (group === undefined) groups.set(tenant, [name])
    else group.push(name)
  }
  return groups
}

function workOn(tenantId: string): string {
  return `backup of ${tenantId}`
}

function requireHours(what: string, hours: number): void {
  if (hours >= 1 && hours <= 8_760) return
  throw new RangeError(`Cannot ${what} every ${hours} hours: wanted a number from 1 to 8760`)
}
