import { ResolveError, requireSlug, type Secret } from 'rowhouse'
import { type VerifyOptions, verifyWebhook, type WebhookHeaders } from './webhook-signature.ts'

/** What a billing event asks for: the input of provisioning. */
export interface BillingEvent {
  /** Derived from the sender's id of the event: an event that arrives again, or is replayed, names the same run. */
  readonly idempotencyKey: string
  readonly slug: string
  readonly name: string
  readonly plan: string
  readonly region: string | undefined
}

/** The one type of event that starts provisioning. */
export const SUBSCRIBED_EVENT = 'tenant.subscribed'

const MAX_BODY_BYTES = 65_536
const MAX_NAME_LENGTH = 200
const WORD = /^[a-z0-9][a-z0-9_-]{0,62}$/
/** Control characters, halves of characters, and what turns the direction of text around: a name is shown to people. */
const UNSHOWABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

/**
 * Reads a billing event that may start provisioning: `{ "type": "tenant.subscribed", "data": { "slug", "name", "plan", "region"? } }`,
 * signed as Standard Webhooks has it. Unknown fields are passed over.
 *
 * @param body  the bytes as they arrived, at most 64 KiB
 * @param secrets  the current one and, while keys rotate, the one before
 * @returns the event; undefined for a signed event of another type, which is answered with 2xx and otherwise left alone
 * @throws {ResolveError} `ERR_CREDENTIAL_INVALID` when the signature or its time is wrong; `ERR_REQUEST_MALFORMED` when headers or
 *   body are not of this form
 * @throws {TenantError} `ERR_TENANT_SLUG_INVALID` when the slug cannot name a tenant
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for secrets or a window that cannot be used
 * @example
 * ```ts
 * import { Secret } from 'rowhouse'
 * import { parseBillingEvent } from 'rowhouse-server'
 * const secret = new Secret(`whsec_${Buffer.alloc(32, 1).toString('base64')}`)
 * async function receive(request: Request): Promise<Response> {
 *   const event = parseBillingEvent(request.headers, await request.text(), [secret])
 *   return Response.json({ key: event?.idempotencyKey }, { status: 202 })
 * }
 * console.assert(receive.length === 1)
 * ```
 */
export function parseBillingEvent(
  headers: WebhookHeaders,
  body: string | Uint8Array,
  secrets: readonly Secret<string>[],
  options: VerifyOptions = {},
): BillingEvent | undefined {
  if (Buffer.byteLength(body) > MAX_BODY_BYTES) throw malformed(`it is larger than ${MAX_BODY_BYTES} bytes`)
  const { id } = verifyWebhook(headers, body, secrets, options)
  const event = requireObject(parseJson(body), 'its body')
  if (event.type !== SUBSCRIBED_EVENT) {
    if (typeof event.type === 'string') return undefined
    throw malformed('its "type" is no text')
  }
  const data = requireObject(event.data, 'its "data"')
  return {
    idempotencyKey: `billing:${id}`,
    slug: requireSlug(requireText(data, 'slug')),
    name: requireName(requireText(data, 'name')),
    plan: requireWord(data, 'plan'),
    region: data.region === undefined || data.region === null ? undefined : requireWord(data, 'region'),
  }
}

function parseJson(body: string | Uint8Array): unknown {
  try {
    const text = typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body)
    return JSON.parse(text)
  } catch {
    throw malformed('its body is no JSON')
  }
}

function requireObject(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw malformed(`${what} is no object`)
}

function requireText(data: Readonly<Record<string, unknown>>, field: string): string {
  const value = data[field]
  if (typeof value === 'string') return value
  throw malformed(`its "${field}" is no text`)
}

function requireName(name: string): string {
  if (name.trim() !== '' && name.length <= MAX_NAME_LENGTH && !UNSHOWABLE.test(name)) return name
  throw malformed(`its "name" is empty, longer than ${MAX_NAME_LENGTH} characters, or has characters that do not show`)
}

function requireWord(data: Readonly<Record<string, unknown>>, field: string): string {
  const value = requireText(data, field)
  if (WORD.test(value)) return value
  throw malformed(`its "${field}" is not 1 to 63 lower-case letters, digits, "-" and "_"`)
}

function malformed(why: string): ResolveError {
  return new ResolveError('ERR_REQUEST_MALFORMED', `Cannot read a billing event: ${why}`)
}
