import { randomUUID } from 'node:crypto'
import { type Logger, TenantError, type TenantId } from 'rowhouse'
import { defineWork, type Journal } from '../provision/journal.ts'
import type { StepEvent } from '../provision/provisioning.ts'
import { type FailedRun, failedRun, runAttempts } from '../provision/run-outcome.ts'
import type { ProvisioningStep } from '../provision/step.ts'
import { watchedSteps } from '../provision/watched-steps.ts'
import { CENTRAL } from '../registry/operator-connections.ts'
import { changeWithDoor, type Doors } from './door.ts'
import { assertNotMoving, record, requireState, requireTenant, type TenantHome } from './find-tenant.ts'
import { toLifecycleError, toRunError } from './lifecycle-error.ts'
import { requirePerson, requireReason } from './who-and-why.ts'

/** A tenant that leaves, for what exports its data. */
export interface LeavingTenant {
  readonly id: TenantId
  readonly slug: string
  readonly plan: string
  readonly home: TenantHome
}

/**
 * Exports a leaving tenant's data and returns where they are, e.g. a URL or a file. Called while the tenant is suspended;
 * may be called again after the process died, with the same `idempotencyKey`.
 */
export type ExportTenant = (
  tenant: LeavingTenant,
  context: { readonly idempotencyKey: string; readonly signal: AbortSignal; readonly log: Logger },
) => Promise<{ readonly reference: string }>

/** What leaving takes, besides the tenant. */
export interface Exits extends Doors {
  readonly log: Logger
  readonly exportTenant: ExportTenant | undefined
  /** The platform's own, in the order in which they were done. */
  readonly steps: readonly Pick<ProvisioningStep, 'name' | 'leave'>[]
  readonly onStep: ((event: StepEvent) => void) | undefined
}

export interface OffboardRequest {
  /** For people, 3 to 1,000 characters. */
  readonly reason: string
  /** Who asks for it, 1 to 200 characters. */
  readonly by: string
  /** Days from the export to the day the tenant may be erased, 0 to 36,500. @defaultValue 30 */
  readonly retainDays?: number
}

export interface Offboarded {
  readonly tenantId: string
  readonly retainUntil: string
  readonly exportReference: string | undefined
}

interface OffboardJob {
  readonly tenantId: string
  readonly run: string
  readonly reason: string
  readonly by: string
  readonly retainDays: number
}

type OffboardOutcome = ({ readonly ok: true } & Offboarded) | FailedRun

const RETAIN_DAYS = 30
const MAX_RETAIN_DAYS = 36_500

let present: Exits | undefined

export function setExits(exits: Exits | undefined): void {
  present = exits
}

export function requireExits(): Exits {
  if (present === undefined) throw new Error('Cannot go on with leaving: the control plane is closed')
  return present
}

const offboardWork = defineWork<OffboardJob, OffboardOutcome>('offboard-tenant', async (job, run) => {
  const exits = requireExits()
  const step = watchedSteps(run, job.tenantId, exits.onStep)
  let name = 'leave'
  try {
    await step(name, () => leave(exits, job))
    name = 'export'
    const reference = await step(name, (signal) => exportData(exits, job, signal))
    name = 'retain'
    const retainUntil = await step(name, () => retain(exits, job, reference))
    return { ok: true, tenantId: job.tenantId, retainUntil, exportReference: reference ?? undefined }
  } catch (error) {
    return failedRun(name, error)
  }
})

/**
 * Suspends a tenant for good, exports its data where the platform has an export, and starts the clock after which it may be
 * erased. Survives the end of the process; asked again while it is unfinished, goes on.
 *
 * @throws {TenantError} `ERR_TENANT_NOT_FOUND`, `ERR_TENANT_STATE`, `ERR_CAUSE_INVALID`
 * @throws {RangeError} for days out of range
 * @throws {HookError} `ERR_HOOK_REFUSED` when the export failed; the tenant stays suspended, and no clock runs
 */
export async function offboardTenant(
  journal: Journal,
  exits: Exits,
  name: string,
  request: OffboardRequest,
): Promise<Offboarded> {
  const action = `offboard tenant "${name}"`
  const { retainDays = RETAIN_DAYS } = request
  if (!Number.isInteger(retainDays) || retainDays < 0 || retainDays > MAX_RETAIN_DAYS)
    throw new RangeError(`Cannot ${action}: wanted retainDays from 0 to ${MAX_RETAIN_DAYS}`)
  const reason = requireReason(request.reason, action)
  const by = requirePerson(request.by, action)
  const { id: tenantId, state } = await requireTenant(exits.connections.central, name, action)
  const run = state === 'offboarding' ? await requireUnfinished(exits, tenantId, action) : randomUUID()
  const job = { tenantId, run, reason, by, retainDays }
  const outcome = await runAttempts(journal, offboardWork, `offboard:${tenantId}:${run}`, job)
  if (!outcome.ok) throw toRunError(action, outcome)
  const { ok: _, ...offboarded } = outcome
  return offboarded
}

async function requireUnfinished(exits: Exits, tenantId: string, action: string): Promise<string> {
  const text = 'select run, retain_until from rowhouse.offboarding where tenant_id = $1'
  const { rows } = await exits.connections.central.query<{ run: string; retain_until: Date | null }>(text, [tenantId])
  const [row] = rows
  if (row !== undefined && row.retain_until === null) return row.run
  throw new TenantError(
    'ERR_TENANT_STATE',
    `Cannot ${action}: it is offboarding already, retained until ${row?.retain_until?.toISOString()}; erase it then, or cancel the offboarding`,
  )
}

async function leave(exits: Exits, { tenantId, run, reason, by }: OffboardJob): Promise<void> {
  const action = `offboard tenant "${tenantId}"`
  await changeWithDoor(exits, { name: tenantId, action, door: 'suspended' }, async (central, tenant) => {
    const { rowCount } = await central.query('select from rowhouse.offboarding where tenant_id = $1 and run = $2', [
      tenantId,
      run,
    ])
    if (rowCount === 1) return
    requireState(tenant, ['active', 'suspended'], action)
    await assertNotMoving(central, tenant, action)
    await central.query(`update rowhouse.tenant set state = 'offboarding' where id = $1`, [tenantId])
    const text = 'insert into rowhouse.offboarding (tenant_id, run, reason, requested_by) values ($1, $2, $3, $4)'
    await central.query(text, [tenantId, run, reason, by])
    await record(central, 'offboarding', { tenantId, by, detail: reason })
  })
}

async function exportData(exits: Exits, { tenantId, run }: OffboardJob, signal: AbortSignal): Promise<string | null> {
  const { connections, exportTenant, log } = exits
  if (exportTenant === undefined) return null
  const { id, slug, plan, home } = await requireTenant(connections.central, tenantId, `export tenant "${tenantId}"`)
  if (home === undefined) throw new TenantError('ERR_TENANT_STATE', `Cannot export tenant "${slug}": it lives nowhere`)
  const { reference } = await exportTenant({ id, slug, plan, home }, { idempotencyKey: run, signal, log })
  return reference
}

async function retain({ connections }: Exits, job: OffboardJob, reference: string | null): Promise<string> {
  const { tenantId, run, by, retainDays } = job
  return connections.transact(CENTRAL, async (central) => {
    const { rows } = await central.query<{ retain_until: Date; is_new: boolean }>(
      `update rowhouse.offboarding o set export_reference = $3, retain_until = coalesce(o.retain_until, clock_timestamp() + make_interval(days => $4))
         from rowhouse.offboarding old where old.tenant_id = o.tenant_id and o.tenant_id = $1 and o.run = $2
       returning o.retain_until, old.retain_until is null as is_new`,
      [tenantId, run, reference, retainDays],
    )
    const [row] = rows
    if (row === undefined) {
      throw new TenantError(
        'ERR_TENANT_STATE',
        `Cannot offboard tenant "${tenantId}": its offboarding was cancelled while it ran`,
      )
    }
    if (row.is_new)
      await record(central, 'retained', { tenantId, by, detail: `until ${row.retain_until.toISOString()}` })
    return row.retain_until.toISOString()
  })
}

/** Takes a tenant back that was leaving: it is suspended, with its data as they were. */
export async function cancelOffboarding(
  { connections }: Doors,
  name: string,
  request: { readonly reason: string; readonly by: string },
): Promise<void> {
  const action = `cancel the offboarding of tenant "${name}"`
  const reason = requireReason(request.reason, action)
  const by = requirePerson(request.by, action)
  await connections
    .transact(CENTRAL, async (central) => {
      const tenant = await requireTenant(central, name, action, 'for update of t')
      if (tenant.state !== 'offboarding')
        throw new TenantError('ERR_TENANT_STATE', `Cannot ${action}: it is ${tenant.state}`)
      await central.query(`update rowhouse.tenant set state = 'suspended' where id = $1`, [tenant.id])
      await central.query(
        `insert into rowhouse.suspension (tenant_id, kind, cause, suspended_by) values ($1, 'request', $2, $3) on conflict (tenant_id) do nothing`,
        [tenant.id, `offboarding cancelled: ${reason}`.slice(0, 1_000), by],
      )
      await record(central, 'offboarding-cancelled', { tenantId: tenant.id, by, detail: reason })
    })
    .catch((error) => {
      throw toLifecycleError(error, action)
    })
}
