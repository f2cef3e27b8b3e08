/** Signatures of webhooks as Standard Webhooks has them: id, time and body under one HMAC-SHA256, several while keys rotate. */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { ConfigError, ResolveError, Secret } from 'rowhouse'

/** Headers as Node's `IncomingMessage.headers` or a `Request` has them. */
export type WebhookHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>

export interface VerifyOptions {
  /** How old, or how far ahead, a message may be, 1–3 600 seconds. @defaultValue 300 */
  readonly toleranceSeconds?: number
  /** Clock, in milliseconds since 1970. @defaultValue Date.now */
  readonly now?: () => number
}

/** A message whose signature is right. */
export interface VerifiedWebhook {
  /** The sender's id of the message: the same when it is sent again. Whoever acts on a message once remembers it. */
  readonly id: string
  readonly sentAt: Date
}

const PREFIX = 'whsec_'
const SCHEME = 'v1'
/** Bounds of the specification, in bytes. */
const MIN_KEY_BYTES = 24
const MAX_KEY_BYTES = 64
/** Keys overlap by one or two while they rotate; more signatures are somebody guessing. */
const MAX_SIGNATURES = 8
const DEFAULT_TOLERANCE_SECONDS = 300
const MAX_TOLERANCE_SECONDS = 3_600
/** No full stop: it separates id, time and body in what is signed, and an id with one could be read in two ways. */
const ID = /^[\w:-]{1,255}$/
const TIMESTAMP = /^[1-9]\d{0,11}$/

/** Returns the three headers of a message that is sent now. */
export function signWebhook(id: string, body: string, key: Secret<Buffer>, nowMs: number): Record<string, string> {
  const timestamp = String(Math.floor(nowMs / 1_000))
  const mac = computeMac(key, id, timestamp, Buffer.from(body)).toString('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `${SCHEME},${mac}` }
}

/**
 * Returns the key of a webhook secret.
 *
 * @param secret  `whsec_` and the base64 of 24 to 64 random bytes
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when it is something else; the message does not repeat it
 */
export function requireWebhookKey(secret: Secret<string>): Secret<Buffer> {
  const text = secret.reveal()
  const key = Buffer.from(text.slice(PREFIX.length), 'base64')
  const sound = text.startsWith(PREFIX) && key.toString('base64') === text.slice(PREFIX.length)
  if (sound && key.length >= MIN_KEY_BYTES && key.length <= MAX_KEY_BYTES) return new Secret(key)
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot use a webhook secret: wanted "${PREFIX}" and the base64 of ${MIN_KEY_BYTES} to ${MAX_KEY_BYTES} random bytes`,
  )
}

/**
 * Returns who a received webhook is, once one of `secrets` signed exactly this body at about this time.
 *
 * A message may arrive twice, from its sender or from somebody who saw it: act on each `id` once.
 *
 * @param body  the bytes as they arrived; a body that was parsed and written again has another signature
 * @param secrets  the current one and, while keys rotate, the one before
 * @throws {ResolveError} `ERR_REQUEST_MALFORMED` when a header is missing, doubled or no header of this scheme;
 *   `ERR_CREDENTIAL_INVALID` when the time is out of the window or no signature fits
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for no secrets, a secret of another form, or a window out of bounds
 * @example
 * ```ts
 * import { createHmac } from 'node:crypto'
 * import { Secret } from 'rowhouse'
 * import { verifyWebhook } from 'rowhouse-server'
 * const key = Buffer.alloc(32, 1)
 * const time = String(Math.floor(Date.now() / 1_000))
 * const mac = createHmac('sha256', key).update(`msg_1.${time}.{}`).digest('base64')
 * const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': time, 'webhook-signature': `v1,${mac}` }
 * const { id } = verifyWebhook(headers, '{}', [new Secret(`whsec_${key.toString('base64')}`)])
 * console.assert(id === 'msg_1')
 * ```
 * @see https://github.com/standard-webhooks/standard-webhooks
 */
export function verifyWebhook(
  headers: WebhookHeaders,
  body: string | Uint8Array,
  secrets: readonly Secret<string>[],
  options: VerifyOptions = {},
): VerifiedWebhook {
  const { now = Date.now } = options
  const toleranceSeconds = requireTolerance(options.toleranceSeconds ?? DEFAULT_TOLERANCE_SECONDS)
  if (secrets.length === 0) throw invalid('no secret is given; name the one its sender signs with')
  const keys = secrets.map(requireWebhookKey)
  const id = requireHeader(headers, 'webhook-id', ID)
  const timestamp = requireHeader(headers, 'webhook-timestamp', TIMESTAMP)
  const signatures = requireHeader(headers, 'webhook-signature', /^[\x21-\x7e ]{1,2000}$/)
  const sent = Number(timestamp)
  if (Math.abs(Math.floor(now() / 1_000) - sent) > toleranceSeconds) {
    throw refused(
      `it was sent more than ${toleranceSeconds} s ago or ahead; a message that is sent again has a new time`,
    )
  }
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const wanted = keys.map((key) => computeMac(key, id, timestamp, bytes))
  if (!hasMatch(signatures, wanted)) throw refused('no signature fits its body and one of the secrets')
  return { id, sentAt: new Date(sent * 1_000) }
}

function hasMatch(header: string, wanted: readonly Buffer[]): boolean {
  const given = header
    .split(' ')
    .slice(0, MAX_SIGNATURES)
    .map((each) => each.split(','))
    .filter(([scheme]) => scheme === SCHEME)
    .map(([, mac = '']) => Buffer.from(mac, 'base64'))
  let matches = 0
  // Compares every pair, so that the time taken does not tell which key is near.
  for (const mac of given)
    for (const each of wanted) if (mac.length === each.length && timingSafeEqual(mac, each)) matches++
  return matches > 0
}

function computeMac(key: Secret<Buffer>, id: string, timestamp: string, body: Uint8Array): Buffer {
  return createHmac('sha256', key.reveal()).update(`${id}.${timestamp}.`).update(body).digest()
}

function requireHeader(headers: WebhookHeaders, name: string, form: RegExp): string {
  const value = headers instanceof Headers ? headers.get(name) : headers[name]
  if (typeof value === 'string' && form.test(value)) return value
  const found = value === undefined || value === null ? 'it is missing' : 'it is doubled or has another form'
  throw new ResolveError('ERR_REQUEST_MALFORMED', `Cannot read a webhook: header "${name}", ${found}`)
}

function requireTolerance(seconds: number): number {
  if (seconds >= 1 && seconds <= MAX_TOLERANCE_SECONDS) return seconds
  throw invalid(`a window of ${seconds} s is out of bounds; wanted 1 to ${MAX_TOLERANCE_SECONDS}`)
}

function refused(why: string): ResolveError {
  return new ResolveError('ERR_CREDENTIAL_INVALID', `Cannot accept a webhook: ${why}`)
}

function invalid(why: string): ConfigError {
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot verify webhooks: ${why}`)
}
