import { verifyBackup } from './open-artefact.ts'
import type { BackupRoom } from './tenant-session.ts'

/** Which backups of each tenant are kept: a backup that either rule keeps stays. */
export interface Retention {
  /** The newest so many, 1 to 10,000. */
  readonly keepLast: number
  /** Those of the last so many days, 0 to 36,500. @defaultValue 0 */
  readonly keepDays?: number
}

export interface PruneReport {
  readonly removed: readonly string[]
  readonly kept: number
  /** Backups that were never finished. */
  readonly swept: number
}

const DAY_MS = 86_400_000
/** A backup that nobody wrote to for so long has no writer any more. */
const ABANDONED_MS = DAY_MS

/**
 * Removes backups that no rule keeps. Before anything of a tenant is removed, one of the backups that stay is read from
 * beginning to end; where none of them is good, nothing of that tenant is removed.
 *
 * @throws {RangeError} for rules that would keep nothing
 */
export async function pruneBackups(
  room: Pick<BackupRoom, 'rootKey' | 'store'>,
  { keepLast, keepDays = 0 }: Retention,
  { tenantId, now = new Date(), dryRun = false }: { tenantId?: string; now?: Date; dryRun?: boolean } = {},
): Promise<PruneReport> {
  requireRetention({ keepLast, keepDays })
  const removed: string[] = []
  let kept = 0
  for (const names of (await byTenant(room, tenantId)).values()) {
    const old = await removeOld(room, names, { keepLast, keepDays }, { now, dryRun })
    removed.push(...old)
    kept += names.length - old.length
  }
  const swept = dryRun ? 0 : await sweepAbandoned(room, now)
  return { removed, kept, swept }
}

/** @throws {RangeError} for rules that would keep nothing */
export function requireRetention({ keepLast, keepDays = 0 }: Retention): void {
  requireWhole('keep the last', keepLast, 1, 10_000)
  requireWhole('keep days', keepDays, 0, 36_500)
}

/**
 * Removes those of a tenant's backups that no rule keeps, and returns them; none while none of those that stay is good.
 *
 * @param names  all of the tenant's, oldest first
 */
export async function removeOld(
  room: Pick<BackupRoom, 'rootKey' | 'store'>,
  names: readonly string[],
  { keepLast, keepDays = 0 }: Retention,
  { now = new Date(), dryRun = false }: { now?: Date; dryRun?: boolean } = {},
): Promise<string[]> {
  const old = namesToRemove(names, { keepLast, keepDays }, now)
  if (old.length === 0) return []
  const stay = names.filter((name) => !old.includes(name))
  if (!(await hasGood(room, stay.toReversed()))) return []
  if (!dryRun) for (const name of old) await room.store.remove(name)
  return old
}

/** Returns those of a tenant's backups that no rule keeps. */
export function namesToRemove(
  names: readonly string[],
  { keepLast, keepDays = 0 }: Retention,
  now = new Date(),
): string[] {
  const isKept = (name: string, place: number) =>
    place < keepLast || now.getTime() - timeOf(name).getTime() < keepDays * DAY_MS
  return names.toReversed().filter((name, place) => !isKept(name, place))
}

/** Removes what was left by writers that died. Returns how many there were. */
export function sweepAbandoned({ store }: Pick<BackupRoom, 'store'>, now = new Date()): Promise<number> {
  return store.sweep(new Date(now.getTime() - ABANDONED_MS))
}

/** When an artefact was made, as its name says. */
export function timeOf(name: string): Date {
  const [, y, mo, d, h, mi, s] = /\/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-/.exec(name) ?? []
  return new Date(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`)
}

async function byTenant({ store }: Pick<BackupRoom, 'store'>, tenantId?: string): Promise<Map<string, string[]>> {
  const tenants = new Map<string, string[]>()
  for (const name of await store.list(tenantId)) {
    const tenant = name.slice(0, 36)
    tenants.set(tenant, [...(tenants.get(tenant) ?? []), name])
  }
  return tenants
}

async function hasGood(room: Pick<BackupRoom, 'rootKey' | 'store'>, names: readonly string[]): Promise<boolean> {
  for (const name of names) {
    const isGood = await verifyBackup(room, name).then(
      () => true,
      () => false,
    )
    if (isGood) return true
  }
  return false
}

function requireWhole(what: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new RangeError(`Cannot ${what} ${value}: wanted a whole number from ${min} to ${max}`)
}
