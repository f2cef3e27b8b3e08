import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { TenantError, type TenantId } from 'rowhouse'
import type { Model } from '../placing/placement-rules.ts'
import { defineWork, type Journal } from './journal.ts'
import { type Provisioning, type ProvisioningOutcome, provision } from './provisioning.ts'
import { type ProvisioningJob, type ProvisioningRequest, toJob } from './provisioning-request.ts'
import type { ChosenHome } from './register.ts'
import { revive } from './run-outcome.ts'
import { watchedSteps } from './watched-steps.ts'

/** What the work of this process is done with: a journal's run holds names and facts, no connections. */
let present: Provisioning | undefined

export function setProvisioning(provisioning: Provisioning | undefined): void {
  present = provisioning
}

const provisioningWork = defineWork<ProvisioningJob, ProvisioningOutcome>('provision-tenant', (job, run) => {
  if (present === undefined) throw new Error('Cannot go on with provisioning: the control plane is closed')
  return provision(present, job, watchedSteps(run, job.slug, present.onStep))
})

/** Attempts of one key that failed and were undone before it is refused for good; each leaves an entry in the journal. */
const MAX_ATTEMPTS = 1_000

/**
 * Makes a tenant, or returns the one that this idempotency key has made.
 *
 * Survives the end of the process at any point: the next control plane goes on with it, or undoes it.
 *
 * @throws what the failed step threw; the message names the step, and what could not be undone
 */
export async function provisionTenant(
  journal: Journal,
  request: ProvisioningRequest,
  forStandby = false,
): Promise<ChosenHome> {
  const job = toJob(request, newTenantId(), forStandby)
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const id = `provision:${job.idempotencyKey}:${attempt}`
    const known = await journal.find<ProvisioningJob, ProvisioningOutcome>(id)
    const outcomeThen = known?.outcome
    // An attempt that failed and was undone is over; the next one starts afresh, and may ask for something else.
    if (outcomeThen?.ok === false && outcomeThen.left.length === 0) continue
    if (known !== undefined) assertSameRequest(job, known.job)
    if (outcomeThen?.ok === false) continue
    const outcome = await journal.run(provisioningWork, id, known?.job ?? job)
    if (outcome.ok) return outcome.home
    throw toError(job, outcome)
  }
  throw new TenantError(
    'ERR_PROVISIONING_FAILED',
    `Cannot provision tenant "${job.slug}": ${MAX_ATTEMPTS} attempts have failed; use another idempotency key`,
  )
}

/** Makes tenants in advance, so that a sign-up only has to claim one. Returns how many were made. */
export async function fillStandby(
  journal: Journal,
  { model, server, count }: { readonly model: Model; readonly server: string; readonly count: number },
): Promise<number> {
  for (let made = 0; made < count; made += 1) {
    const slug = `standby-${randomBytes(10).toString('hex')}`
    await provisionTenant(journal, { slug, name: 'Standby', wish: { model, server } }, true)
  }
  return count
}

/** Time-ordered, as the database makes them: made here because the journal keeps it before the database sees it. */
function newTenantId(): TenantId {
  const bytes = Buffer.from(randomUUID().replaceAll('-', ''), 'hex')
  bytes.writeUIntBE(Date.now(), 0, 6)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-') as TenantId
}

function assertSameRequest(job: ProvisioningJob, known: ProvisioningJob): void {
  if (digest(job) === digest(known)) return
  throw new TenantError(
    'ERR_IDEMPOTENCY_KEY_REUSED',
    `Cannot provision tenant "${job.slug}": its idempotency key was used for another request (tenant "${known.slug}"); use another key, or ask for the same`,
  )
}

function digest({ tenantId: _, ...facts }: ProvisioningJob): string {
  const sorted = Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex')
}

/** The journal keeps an error as text; who waits for the run gets one of its class again. */
function toError(job: ProvisioningJob, outcome: Extract<ProvisioningOutcome, { ok: false }>): Error {
  const { step, error, left } = outcome
  const kept =
    left.length === 0
      ? 'everything before it was undone'
      : `these could not be undone: ${left.join(', ')}; provision it again to go on`
  const known = revive(error)
  if (known !== undefined && step === 'register') return known
  const message = `Cannot provision tenant "${job.slug}": step "${step}" failed: ${error.message}; ${kept}`
  return revive(error, message) ?? new TenantError('ERR_PROVISIONING_FAILED', message)
}
