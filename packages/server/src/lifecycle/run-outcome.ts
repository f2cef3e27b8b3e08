import {
  AccessError,
  ArtefactError,
  ConfigError,
  HookError,
  MigrationError,
  TenantError,
  UnavailableError,
} from 'rowhouse'
import type { DurableWork, Journal } from '../provision/journal.ts'

/** How a run failed. Journalled, so plain data. */
export interface FailedRun {
  readonly ok: false
  readonly step: string
  readonly error: { readonly name: string; readonly code: string | undefined; readonly message: string }
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
  // The journal wraps what failed each time it was tried; the last time says why.
  const cause = (error as { errors?: unknown }).errors
  const { name, message, code } = (Array.isArray(cause) ? cause.at(-1) : error) as Error & { code?: unknown }
  return { ok: false, step, error: { name, code: typeof code === 'string' ? code : undefined, message } }
}

const CLASSES: Readonly<Record<string, new (code: never, message: string) => Error>> = {
  AccessError,
  ArtefactError,
  ConfigError,
  MigrationError,
  TenantError,
  UnavailableError,
}

/** The journal keeps an error as text; who waits for the run gets one of its class again. */
export function toRunError(action: string, { step, error }: FailedRun): Error {
  const { name, code, message } = error
  const Class = CLASSES[name]
  const text = message.startsWith('Cannot ') ? message : `Cannot ${action}: step "${step}" failed: ${message}`
  if (Class !== undefined && code !== undefined) return new Class(code as never, text)
  if (code !== undefined && /^(08|53|57P)|^E(CONN|PIPE)/.test(code))
    return new UnavailableError('ERR_DATABASE_UNAVAILABLE', text)
  return new HookError('ERR_HOOK_REFUSED', text, { reason: `${step}-failed` })
}
