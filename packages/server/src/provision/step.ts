import type { Logger, TenantId } from 'rowhouse'
import type { HomeAddress } from '../registry/operator-connections.ts'

/** The tenant a step works for, as the registry knows it. */
export interface StepTenant {
  readonly id: TenantId
  readonly slug: string
  readonly name: string
  readonly plan: string | undefined
  /** Region of the server the tenant lives on. */
  readonly region: string | undefined
  readonly labels?: Readonly<Record<string, string>>
  /** The first person of the tenant, as the sign-up named it. */
  readonly administrator?: { readonly email: string; readonly name?: string } | undefined
  /** Where its tables are: for steps that write into them. */
  readonly home?: HomeAddress
}

/** What a step is given. */
export interface StepContext {
  readonly tenant: StepTenant
  /** Names this run of provisioning: the same through every retry and resume of it. */
  readonly idempotencyKey: string
  /** Aborts when the run is stopped; a step passes it on to everything it waits for. */
  readonly signal: AbortSignal
  readonly log: Logger
}

/**
 * One step of provisioning, of Rowhouse or of the platform's own.
 *
 * The workflow asks `check` before it calls `do`, so that a run that was killed goes on where it stopped. Between a step's
 * effect and the journal's note of it the process may die: every method may be called again after it has succeeded, and
 * `undo` also after a `do` that never began.
 */
export interface ProvisioningStep {
  /** Names the step in the journal; never changes once a run has used it. */
  readonly name: string
  /** Looks whether the effect is there already, and changes nothing. */
  check(context: StepContext): Promise<boolean>
  /** Makes the effect, or fails; a retryable error says that calling again can help. */
  do(context: StepContext): Promise<void>
  /** Takes the effect back; does nothing where it is not there, or is not this tenant's. */
  undo(context: StepContext): Promise<void>
  /**
   * Takes back what the tenant has outside of its database, when it is erased: its name in DNS, its customer in billing. It
   * may be called again, and for a tenant `do` was never called for. Of a step without it the certificate says that what it
   * made remains.
   */
  leave?(context: StepContext): Promise<void>
}

const STEP_NAME = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/
const MAX_STEP_NAME_LENGTH = 63

/**
 * Returns `name` when it can name a step: lower-case words with hyphens, 63 characters at most.
 *
 * @throws {TypeError} when it cannot
 * @example
 * ```ts
 * import { requireStepName } from 'rowhouse-server'
 * console.assert(requireStepName('register-billing') === 'register-billing')
 * ```
 */
export function requireStepName(name: string): string {
  if (name.length <= MAX_STEP_NAME_LENGTH && STEP_NAME.test(name)) return name
  throw new TypeError(
    `Cannot name a step "${name}": wanted lower-case words with hyphens, ${MAX_STEP_NAME_LENGTH} characters at most`,
  )
}
