import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError, HookError, type Secret, UnavailableError } from 'rowhouse'
import { type ProvisioningStep, requireStepName, type StepContext } from '../provision/step.ts'
import type { AddressLookup } from './address-guard.ts'
import { postWebhook, type WebhookAnswer, type WebhookTarget } from './webhook-post.ts'
import { requireWebhookKey, signWebhook } from './webhook-signature.ts'

export interface WebhookStepOptions {
  /** Name in the journal, and part of every message's id: never changes. */
  readonly name: string
  /** Receiver: https, or http on loopback; no user name or password in it. */
  readonly url: string
  /** `whsec_` and the base64 of 24 to 64 random bytes; the receiver verifies with the same. */
  readonly secret: Secret<string>
  readonly events: WebhookEvents
  /** Upper bound for one attempt, from resolving the name to the answer, 1–60 000 milliseconds. @defaultValue 10_000 */
  readonly timeoutMs?: number
  /** Attempts of one call before it fails, 1–10. @defaultValue 4 */
  readonly attempts?: number
  /** Longest wait before the second attempt; doubles with each one, and a random part of it is waited. @defaultValue 500 */
  readonly backoffMs?: number
  /** Allows receivers on loopback and private networks; link-local and metadata addresses stay refused. @defaultValue false */
  readonly allowPrivate?: boolean
  /** Authorities to trust instead of the public ones, PEM. */
  readonly ca?: string
  /** Finds the addresses of the receiver's host; all of them are checked. @defaultValue the system's resolver */
  readonly resolve?: AddressLookup
}

/** Value of `type` in each message's body. */
export interface WebhookEvents {
  /** Asks whether the work is done; without it `check` answers no, and the message of `do` is sent again under its id. */
  readonly check?: string
  readonly do: string
  readonly undo: string
  /** Says that the tenant is being erased; without it nothing is said. */
  readonly leave?: string
}

type Phase = keyof WebhookEvents

/** Longest wait between two attempts of one call: beyond, the journal waits, which survives the process. */
const MAX_WAIT_MS = 30_000
const DEFAULTS = { timeoutMs: 10_000, attempts: 4, backoffMs: 500 }
const EVENT = /^[a-z0-9_]+(?:\.[a-z0-9_]+)*$/
const RETRYABLE = new Set([408, 425, 429])

/**
 * Tells another system about a new tenant by a signed message (Standard Webhooks), e.g. to open a customer in billing.
 *
 * The body is `{ type, data: { tenant, step, phase, idempotencyKey } }`. Its `webhook-id` is the same for every attempt of one tenant,
 * step and phase, so that a receiver can tell a repeat; questions of `check` have a new one each, as they want a fresh answer.
 *
 * Answers: 2xx is done, 409 done before. `check` is true on 409, and on 200 with the JSON `{ "done": true }`; any other 2xx, 404, 405
 * and 501 mean not done. 408, 425, 429 and 5xx are tried again, after `Retry-After` where that is soon. All else fails for good.
 *
 * The methods throw:
 * - {HookError} `ERR_HOOK_REFUSED`, `reason` `http-<status>`, `redirect` or `address-refused`
 * - {HookError} `ERR_HOOK_UNTRUSTED`, `reason` `certificate`, `response-too-large` or `response-malformed`
 * - {UnavailableError} `ERR_HOOK_UNAVAILABLE` (with `retryAfterMs` where the receiver named it), `ERR_TIMEOUT`; safe to
 *   retry when the receiver acts once for each id
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a URL, secret, event or bound that cannot be used
 * @throws {TypeError} for a name that cannot name a step
 * @example
 * ```ts
 * import { Secret } from 'rowhouse'
 * import { webhookStep } from 'rowhouse-server'
 * const step = webhookStep({
 *   name: 'register-billing',
 *   url: 'https://billing.example.com/hooks/rowhouse',
 *   secret: new Secret(`whsec_${Buffer.alloc(32, 1).toString('base64')}`),
 *   events: { do: 'tenant.created', undo: 'tenant.discarded' },
 * })
 * console.assert(step.name === 'register-billing')
 * ```
 */
export function webhookStep(options: WebhookStepOptions): ProvisioningStep {
  const hook: Hook = {
    name: requireStepName(options.name),
    events: requireEvents(options.events),
    key: requireWebhookKey(options.secret),
    target: targetOf(options),
    attempts: requireBetween('attempts', options.attempts ?? DEFAULTS.attempts, 1, 10),
    backoffMs: requireBetween('backoffMs', options.backoffMs ?? DEFAULTS.backoffMs, 0, MAX_WAIT_MS),
  }
  return {
    name: hook.name,
    check: async (context) => hook.events.check !== undefined && saysDone(hook, await deliver(hook, 'check', context)),
    do: async (context) => requireDone(hook, await deliver(hook, 'do', context)),
    undo: async (context) => requireDone(hook, await deliver(hook, 'undo', context)),
    ...(hook.events.leave !== undefined && {
      leave: async (context: StepContext) => requireDone(hook, await deliver(hook, 'leave', context)),
    }),
  }
}

interface Hook {
  readonly name: string
  readonly events: WebhookEvents
  readonly key: Secret<Buffer>
  readonly target: WebhookTarget
  readonly attempts: number
  readonly backoffMs: number
}

/** Sends until an answer is final, the attempts are used up or the receiver wants more time than one call has. */
async function deliver(hook: Hook, phase: Phase, context: StepContext): Promise<WebhookAnswer> {
  const id = messageId(hook, phase, context)
  const body = bodyOf(hook, phase, context)
  for (let attempt = 1; ; attempt++) {
    const failure = await attemptOnce(hook, phase, id, body, context.signal)
    if (!(failure instanceof UnavailableError)) return failure
    const waitMs = failure.retryAfterMs ?? Math.random() * Math.min(MAX_WAIT_MS, hook.backoffMs * 2 ** (attempt - 1))
    if (attempt >= hook.attempts || waitMs > MAX_WAIT_MS) throw failure
    context.log.warn({ step: hook.name, phase, attempt, waitMs, code: failure.code }, 'webhook is tried again')
    await delay(waitMs, undefined, { signal: context.signal }).catch(() => context.signal.throwIfAborted())
  }
}

/** Returns an answer that is final, or the error after which another attempt can help. */
async function attemptOnce(
  hook: Hook,
  phase: Phase,
  id: string,
  body: string,
  signal: AbortSignal,
): Promise<WebhookAnswer | UnavailableError> {
  const signature = signWebhook(id, body, hook.key, Date.now())
  const headers = { ...signature, 'content-type': 'application/json', 'user-agent': 'rowhouse-server' }
  try {
    const answer = await postWebhook(hook.target, headers, body, phase === 'check', signal)
    const { status } = answer
    const busy = RETRYABLE.has(status) || (status >= 500 && !(phase === 'check' && status === 501))
    return busy ? unavailable(hook, answer) : answer
  } catch (error) {
    if (error instanceof UnavailableError) return error
    throw error
  }
}

function saysDone(hook: Hook, answer: WebhookAnswer): boolean {
  const { status, body = '' } = answer
  if (status === 409) return true
  if (status === 404 || status === 405 || status === 501) return false
  requireDone(hook, answer)
  // A receiver that says yes to everything knows no questions: only the plain word counts, or nothing would ever be done.
  return status === 200 && parseObject(body).done === true
}

function requireDone(hook: Hook, { status }: WebhookAnswer): void {
  if ((status >= 200 && status < 300) || status === 409) return
  const redirect = status >= 300 && status < 400
  const remedy = redirect
    ? 'redirects are not followed, name the final URL'
    : 'mend what its log says, then run the step again'
  throw new HookError(
    'ERR_HOOK_REFUSED',
    `Cannot finish step "${hook.name}": the webhook at "${hook.target.url.host}" answered ${status}; ${remedy}`,
    { reason: redirect ? 'redirect' : `http-${status}` },
  )
}

function messageId(hook: Hook, phase: Phase, { tenant }: StepContext): string {
  if (phase === 'check') return `msg_${randomUUID()}`
  const parts = JSON.stringify([tenant.id, hook.name, phase])
  return `msg_${createHash('sha256').update(parts).digest('hex').slice(0, 32)}`
}

/** The same bytes for every attempt: receivers compare the body of a repeat with the first. */
function bodyOf(hook: Hook, phase: Phase, { tenant, idempotencyKey }: StepContext): string {
  const { id, slug, name, plan = null, region = null } = tenant
  const data = { tenant: { id, slug, name, plan, region }, step: hook.name, phase, idempotencyKey }
  return JSON.stringify({ type: hook.events[phase], data })
}

function parseObject(text: string): { readonly done?: unknown } {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

function unavailable({ name, target }: Hook, { status, retryAfter }: WebhookAnswer): UnavailableError {
  return new UnavailableError(
    'ERR_HOOK_UNAVAILABLE',
    `Cannot finish step "${name}": the webhook at "${target.url.host}" answered ${status}; try again later`,
    { retryAfterMs: retryAfterMs(retryAfter) },
  )
}

/** Reads `Retry-After`: seconds, or a date (RFC 9110 section 10.2.3). */
function retryAfterMs(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now())
}

function targetOf(options: WebhookStepOptions): WebhookTarget {
  return {
    url: requireUrl(options.url),
    timeoutMs: requireBetween('timeoutMs', options.timeoutMs ?? DEFAULTS.timeoutMs, 1, 60_000),
    allowPrivate: options.allowPrivate ?? false,
    ca: options.ca,
    resolve: options.resolve,
  }
}

/** The message does not repeat the URL: its path and query may hold a credential. */
function requireUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['https:', 'http:'].includes(url.protocol)) throw invalid('"url" is no https URL')
  if (url.username !== '' || url.password !== '')
    throw invalid('"url" holds a user name; the signature is the credential')
  return url
}

function requireEvents(events: WebhookEvents): WebhookEvents {
  const wrong = [events.do, events.undo, events.check, events.leave].find(
    (event) => event !== undefined && !EVENT.test(event),
  )
  if (wrong === undefined) return events
  throw invalid(`event "${wrong}" is not lower-case words with full stops, such as "tenant.created"`)
}

function requireBetween(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw invalid(`"${name}" is ${value}; wanted a whole number from ${least} to ${most}`)
}

function invalid(why: string): ConfigError {
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot set up a webhook step: ${why}`)
}
