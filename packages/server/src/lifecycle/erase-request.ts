import { TenantError, type TenantId } from 'rowhouse'
import type { RowsFound } from './tenant-rows.ts'
import { requirePerson, requireReason } from './who-and-why.ts'

export interface EraseRequest {
  /** Who erases, 1 to 200 characters. */
  readonly by: string
  /** Why; wanted with `now`. @defaultValue 'retention ended' */
  readonly reason?: string
  /** Erases before the clock has run out. @defaultValue false */
  readonly now?: boolean
  /** Tables outside the walls whose rows of the tenant stay, as `schema.table`; the certificate lists them. @defaultValue none */
  readonly keep?: readonly string[]
  /** How long the operator keeps what Rowhouse does not reach, in days; the certificate says so. @defaultValue not known */
  readonly keptDays?: KeptDays
}

/** Days for which copies outside of Rowhouse's reach are kept, 0 to 36,500 each. */
export interface KeptDays {
  readonly writeAheadLogs?: number
  readonly physicalBackups?: number
  readonly logs?: number
}

/** What the journal keeps of a request: no names of the tenant. */
export interface EraseJob {
  readonly tenantId: TenantId
  readonly by: string
  readonly reason: string
  readonly now: boolean
  readonly keep: readonly string[]
  readonly keptDays: KeptDays
}

/** What there was before the first row went. */
export interface FoundToErase {
  readonly rows: readonly RowsFound[]
}

const MAX_KEPT_DAYS = 36_500

/** @throws {TenantError} `ERR_CAUSE_INVALID` @throws {RangeError} for days out of range */
export function toJob(tenantId: TenantId, request: EraseRequest, action: string): EraseJob {
  const { now = false, keep = [], keptDays = {} } = request
  if (now && request.reason === undefined) {
    throw new TenantError(
      'ERR_CAUSE_INVALID',
      `Cannot ${action} before its clock has run out without a reason: say why, the certificate repeats it`,
    )
  }
  for (const days of Object.values(keptDays)) {
    if (Number.isInteger(days) && days >= 0 && days <= MAX_KEPT_DAYS) continue
    throw new RangeError(`Cannot ${action}: wanted days from 0 to ${MAX_KEPT_DAYS}`)
  }
  const reason = requireReason(request.reason ?? 'retention ended', action)
  return { tenantId, by: requirePerson(request.by, action), reason, now, keep, keptDays }
}
