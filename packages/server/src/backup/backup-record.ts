import { isRowhouseError, UnavailableError } from 'rowhouse'
import { CENTRAL, type OperatorConnections } from '../registry/operator-connections.ts'

/** What happened to a tenant's backups, as the central database remembers it. */
export interface BackupEvent {
  readonly tenantId: string
  readonly kind: 'backup' | 'drill'
  /** Left out for a backup that failed. */
  readonly artefact?: string
  readonly rows?: number
  /** Left out when it went well. */
  readonly error?: unknown
}

type Recorder = Pick<OperatorConnections, 'transact'>

/** What failed so long ago explains nothing any more. */
const KEPT_FAILURE_DAYS = 90

/** Faults that are the artefact's own, and not the network's or the server's. */
const OWN_FAULTS = ['ERR_ARTEFACT_DAMAGED', 'ERR_ARTEFACT_KEY', 'ERR_ARTEFACT_NEWER', 'ERR_RESTORE_UNPROVEN']

/** @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`: what was to be recorded has happened all the same */
export async function recordBackupEvent(connections: Recorder, event: BackupEvent): Promise<void> {
  const { tenantId, kind, artefact = null, rows = null, error } = event
  const fault = error === undefined ? null : isRowhouseError(error) ? error.code : 'UNKNOWN'
  const text = `insert into rowhouse.backup_event (tenant_id, kind, outcome, artefact, rows, fault)
                values ($1, $2, case when $5::text is null then 'good' else 'failed' end, $3, $4, $5)`
  try {
    await connections.transact(CENTRAL, (central) => central.query(text, [tenantId, kind, artefact, rows, fault]))
  } catch (cause) {
    const what = artefact === null ? `the ${kind} of tenant "${tenantId}"` : `the ${kind} "${artefact}"`
    throw new UnavailableError(
      'ERR_DATABASE_UNAVAILABLE',
      `Cannot write down ${what}: ${(cause as Error).message}; it was made all the same`,
      { cause },
    )
  }
}

/** Returns what is known of artefacts: `good` for what was made here, `bad` for what a rehearsal has found to be damaged. */
export async function readVerdicts(
  connections: Recorder,
  artefacts: readonly string[],
): Promise<ReadonlyMap<string, 'good' | 'bad'>> {
  const text = `select artefact, bool_or(fault = any ($2)) as bad from rowhouse.backup_event
                 where artefact = any ($1) and (outcome = 'good' or fault = any ($2)) group by artefact`
  const { rows } = await connections.transact(CENTRAL, (central) =>
    central.query<{ artefact: string; bad: boolean | null }>(text, [artefacts, OWN_FAULTS]),
  )
  return new Map(rows.map(({ artefact, bad }) => [artefact, bad === true ? 'bad' : 'good']))
}

/** When each tenant was rehearsed last, in milliseconds ago, whatever came of it. */
export async function readDrillAges(connections: Recorder): Promise<ReadonlyMap<string, number>> {
  const text = `select tenant_id, (extract(epoch from clock_timestamp() - max(at)) * 1000)::float8 as age_ms
                  from rowhouse.backup_event where kind = 'drill' group by tenant_id`
  const { rows } = await connections.transact(CENTRAL, (central) =>
    central.query<{ tenant_id: string; age_ms: number }>(text),
  )
  return new Map(rows.map(({ tenant_id, age_ms }) => [tenant_id, age_ms]))
}

/**
 * Forgets that artefacts were made which are no more. That they were rehearsed stays, and of each tenant the first one: since
 * when there was something to rehearse.
 */
export async function forgetBackups(connections: Recorder, removed: readonly string[]): Promise<void> {
  const text = `delete from rowhouse.backup_event e
                 where e.kind = 'backup' and (e.artefact = any ($1) and exists (
                         select from rowhouse.backup_event f
                          where f.tenant_id = e.tenant_id and f.kind = 'backup' and f.outcome = 'good' and f.id < e.id)
                    or e.outcome = 'failed' and e.at < clock_timestamp() - make_interval(days => $2))`
  await connections.transact(CENTRAL, (central) => central.query(text, [removed, KEPT_FAILURE_DAYS]))
}

/** Whether a move or a restore of the tenant is between two places: what is read now may not be where it lives next. */
export async function isBetweenPlaces(connections: Recorder, tenantId: string): Promise<boolean> {
  const text = `select from rowhouse.placement where tenant_id = $1 and moving_since is not null
                union all select from rowhouse.move where tenant_id = $1 and state in ('cutting', 'reverting')`
  const { rowCount } = await connections.transact(CENTRAL, (central) => central.query(text, [tenantId]))
  return (rowCount ?? 0) > 0
}
