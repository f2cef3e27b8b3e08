import {
  AccessError,
  ArtefactError,
  ConfigError,
  HookError,
  MigrationError,
  PlacementError,
  TenantError,
  UnavailableError,
} from 'rowhouse'
import type { DurableWork, Journal } from './journal.ts'

/** An error as the journal keeps it: plain data. */
export interface KeptError {
  readonly name: string
  readonly code: string | undefined
  readonly message: string
  /** Of a `HookError`. */
  readonly reason: string | undefined
}

/** How a run failed. Journalled. */
export interface FailedRun {
  readonly ok: false
  readonly step: string
  readonly error: KeptError
}

/** Attempts of one run before it is refused for good; each leaves an entry in the journal until the tenant is erased. */
const MAX_ATTEMPTS = 1_000

/**
 * Runs work as the next attempt of its id, or joins the one that runs. An attempt that failed is over; every step looks at
 * what is there first, so the next one goes on where it stopped.
 */
export async function runAttempts<Job, Outcome extends { readonly ok: boolean }>(
  journal: Journal,
  work: DurableWork<Job, Outcome>,
  id: string,
  job: Job,
): Promise<Outcome> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const name = `${id}:${attempt}`
    const known = await journal.find<Job, Outcome>(name)
    if (known?.outcome?.ok === false) continue
    return journal.run(work, name, known?.job ?? job)
  }
  throw new TenantError('ERR_TENANT_STATE', `Cannot run "${id}": ${MAX_ATTEMPTS} attempts have failed`)
}

export function failedRun(step: string, error: unknown): FailedRun {
  const { name, message, code, reason } = error as Error & { code?: unknown; reason?: unknown }
  return { ok: false, step, error: { name, message, code: textOf(code), reason: textOf(reason) } }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** What an error carries besides its message; each class takes of it what it has. */
interface Facts {
  readonly cause?: unknown
  readonly reason: string
}

const CLASSES: Readonly<Record<string, new (code: never, message: string, facts: Facts) => Error>> = {
  AccessError,
  ArtefactError,
  ConfigError,
  HookError,
  MigrationError,
  PlacementError,
  TenantError,
  UnavailableError,
}

/** Makes an error of what the journal kept of it, for who waits for the run; undefined where it was none of Rowhouse's. */
export function revive({ name, code, message, reason }: KeptError, text = message): Error | undefined {
  const Class = CLASSES[name]
  return Class === undefined || code === undefined
    ? undefined
    : new Class(code as never, text, { reason: reason ?? 'unknown' })
}
