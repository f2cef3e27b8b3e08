import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import { HookError, UnavailableError } from 'rowhouse'
import { type AddressLookup, type CheckedAddress, resolveAllowed } from './address-guard.ts'

/** Where a webhook goes and on which terms. */
export interface WebhookTarget {
  readonly url: URL
  readonly timeoutMs: number
  readonly allowPrivate: boolean
  /** Certificates of the authorities to trust instead of the public ones, PEM. */
  readonly ca: string | undefined
  readonly resolve: AddressLookup | undefined
}

export interface WebhookAnswer {
  readonly status: number
  readonly retryAfter: string | undefined
  /** Not trusted beyond what TLS proves; undefined where the caller did not ask for it. */
  readonly body: string | undefined
}

/** An answer is a line of JSON; more is a mistake, or meant to fill our memory. */
const MAX_BODY_BYTES = 16_384
const MAX_HEADER_BYTES = 16_384

/**
 * Posts once, to an address that was checked, and follows no redirect.
 *
 * @param wantsBody  false closes the connection as soon as the status is known
 * @throws {HookError} `ERR_HOOK_REFUSED`, reason `address-refused`; `ERR_HOOK_UNTRUSTED`, reason `certificate`,
 *   `response-too-large` or `response-malformed`
 * @throws {UnavailableError} `ERR_HOOK_UNAVAILABLE` when nobody answers, `ERR_TIMEOUT` when it takes longer than `timeoutMs`
 * @throws the reason of `signal` when it aborts
 */
export async function postWebhook(
  target: WebhookTarget,
  headers: Record<string, string>,
  body: string,
  wantsBody: boolean,
  signal: AbortSignal,
): Promise<WebhookAnswer> {
  signal.throwIfAborted()
  const stop = new AbortController()
  const onAbort = () => stop.abort(signal.reason)
  const timer = setTimeout(() => stop.abort(timedOut(target)), target.timeoutMs)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const address = await unlessAborted(resolveAddress(target), stop.signal)
    return await send(target, address, { headers, body, wantsBody, signal: stop.signal })
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : presentFailure(target, error)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

function resolveAddress({ url, allowPrivate, resolve }: WebhookTarget): Promise<CheckedAddress> {
  return resolveAllowed(url.hostname, { allowPrivate, loopbackOnly: url.protocol === 'http:' }, resolve)
}

interface Outgoing {
  readonly headers: Record<string, string>
  readonly body: string
  readonly wantsBody: boolean
  readonly signal: AbortSignal
}

function send({ url, ca }: WebhookTarget, address: CheckedAddress, outgoing: Outgoing): Promise<WebhookAnswer> {
  const { body, wantsBody, signal } = outgoing
  const options: RequestOptions & { ca?: string } = {
    method: 'POST',
    headers: { ...outgoing.headers, 'content-length': String(Buffer.byteLength(body)) },
    // A connection of its own: one that is kept could have been made before the address was checked.
    agent: false,
    lookup: pinnedTo(address),
    maxHeaderSize: MAX_HEADER_BYTES,
    signal,
    ...(ca === undefined ? {} : { ca }),
  }
  return new Promise((resolve, reject) => {
    const open = url.protocol === 'https:' ? httpsRequest : httpRequest
    const sent = open(url, options, (response) => {
      const answer = { status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] }
      if (wantsBody) {
        readBounded(response).then((text) => resolve({ ...answer, body: text }), reject)
        return
      }
      // The status is the answer; a body could keep us waiting after the work is done.
      response.on('error', () => {})
      response.destroy()
      resolve({ ...answer, body: undefined })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** A resolver that knows one answer: whatever the name says by now, the connection goes where the check looked. */
function pinnedTo({ address, family }: CheckedAddress): LookupFunction {
  return (_host, options, answer) => {
    if (options.all) answer(null, [{ address, family }])
    else answer(null, address, family)
  }
}

async function readBounded(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new BodyTooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

class BodyTooLarge extends Error {}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work.then(resolve, reject)
  })
}

function presentFailure({ url }: WebhookTarget, error: unknown): unknown {
  if (error instanceof HookError || error instanceof UnavailableError) return error
  const { code = 'unknown' } = error as NodeJS.ErrnoException
  const subject = `the webhook's answer from "${url.host}"`
  if (error instanceof BodyTooLarge) {
    const message = `Cannot accept ${subject}: it is larger than ${MAX_BODY_BYTES} bytes`
    return new HookError('ERR_HOOK_UNTRUSTED', message, { reason: 'response-too-large' })
  }
  if (isCertificateFault(code)) {
    const message = `Cannot trust the webhook's receiver "${url.host}": ${code}; renew its certificate, or name its authority with "ca"`
    return new HookError('ERR_HOOK_UNTRUSTED', message, { reason: 'certificate', cause: error })
  }
  if (code.startsWith('HPE_')) {
    const message = `Cannot accept ${subject}: it is no HTTP (${code})`
    return new HookError('ERR_HOOK_UNTRUSTED', message, { reason: 'response-malformed', cause: error })
  }
  const message = `Cannot call the webhook at "${url.host}": ${code}; try again when it answers`
  return new UnavailableError('ERR_HOOK_UNAVAILABLE', message, { cause: error })
}

/** Codes of OpenSSL's verification (X509_V_ERR_…) and of Node's check of the host name. */
function isCertificateFault(code: string): boolean {
  return /CERT|^UNABLE_TO_|^ERR_TLS_|^HOSTNAME_MISMATCH$|^INVALID_(?:CA|PURPOSE)$/.test(code)
}

function timedOut({ url, timeoutMs }: WebhookTarget): UnavailableError {
  const message = `Cannot wait for the webhook at "${url.host}": no answer within ${timeoutMs} ms; try again, the receiver may have acted`
  return new UnavailableError('ERR_TIMEOUT', message)
}
