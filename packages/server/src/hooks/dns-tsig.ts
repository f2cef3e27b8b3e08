/** Signatures of DNS messages with a shared key (TSIG, RFC 8945), of which `dns-packet` knows the number only. */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { HookError, type Secret } from 'rowhouse'
import { encodedName, HEADER_BYTES, uint16 } from './dns-message.ts'

export interface TsigKey {
  /** Name both sides have given the key, lower case. */
  readonly name: string
  readonly secret: Secret<Buffer>
}

export interface SignedMessage {
  readonly message: Buffer
  readonly mac: Buffer
}

/** What a response's signature says beside being right. */
export interface TsigRecord {
  /** Where the record begins: what stands before it is what was signed. */
  readonly start: number
  readonly keyName: string
  readonly algorithm: string
  readonly timeSeconds: number
  readonly fudgeSeconds: number
  readonly mac: Buffer
  readonly originalId: number
  readonly error: number
  readonly other: Buffer
}

const TSIG_TYPE = 250
const ANY_CLASS = 255
const ALGORITHM = 'hmac-sha256'
const MAC_BYTES = 32
/** How far the clocks may be apart, as RFC 8945 section 10 recommends. */
const FUDGE_SECONDS = 300
/** Error codes of RFC 8945 section 3. */
export const BADTIME = 18

/** Returns `message` with its signature behind, and the MAC that the response's signature goes on from. */
export function signMessage(message: Buffer, key: TsigKey, nowMs: number): SignedMessage {
  const timeSeconds = Math.floor(nowMs / 1_000)
  const mac = computeMac(key, [message, variablesOf(key.name, timeSeconds, FUDGE_SECONDS, 0, Buffer.alloc(0))])
  const data = Buffer.concat([
    encodedName(ALGORITHM),
    uint48(timeSeconds),
    uint16(FUDGE_SECONDS),
    uint16(mac.length),
    mac,
    message.subarray(0, 2),
    uint16(0),
    uint16(0),
  ])
  const head = [encodedName(key.name), uint16(TSIG_TYPE), uint16(ANY_CLASS), Buffer.alloc(4), uint16(data.length)]
  const signed = Buffer.concat([message, ...head, data])
  signed.writeUInt16BE(message.readUInt16BE(10) + 1, 10)
  return { message: signed, mac }
}

/**
 * Returns `response` without its signature, once that is proved to be of this key, for this request and of this time.
 *
 * @throws {HookError} `ERR_HOOK_UNTRUSTED` when the MAC is missing, cut short or wrong (`response-altered`), or was made
 *   too long ago (`response-stale`); `ERR_HOOK_REFUSED`, reason `BADTIME`, when the server says so of the request
 */
export function openResponse(
  response: Buffer,
  tsig: TsigRecord,
  key: TsigKey,
  requestMac: Buffer,
  nowMs: number,
): Buffer {
  const plain = Buffer.from(response.subarray(0, tsig.start))
  plain.writeUInt16BE(tsig.originalId, 0)
  plain.writeUInt16BE(plain.readUInt16BE(10) - 1, 10)
  const variables = variablesOf(key.name, tsig.timeSeconds, tsig.fudgeSeconds, tsig.error, tsig.other)
  const wanted = computeMac(key, [uint16(requestMac.length), requestMac, plain, variables])
  const known = tsig.keyName === key.name && tsig.algorithm === ALGORITHM && tsig.mac.length === MAC_BYTES
  if (!known || !timingSafeEqual(tsig.mac, wanted)) {
    throw untrusted('response-altered', `its signature is not one of the key "${key.name}" for this request`)
  }
  const nowSeconds = Math.floor(nowMs / 1_000)
  if (tsig.error === BADTIME) throw clocksApart(tsig, nowSeconds)
  // Our own bound as well: the other side chooses the fudge of what it signs.
  if (Math.abs(nowSeconds - tsig.timeSeconds) > Math.min(tsig.fudgeSeconds, FUDGE_SECONDS)) {
    throw untrusted(
      'response-stale',
      'it was signed at another time; compare the clocks of this machine and the server',
    )
  }
  return plain
}

/**
 * Returns the signature of a message, or undefined when its last record is none.
 *
 * @throws {RangeError} when the message ends before its counts say
 */
export function findTsig(message: Buffer): TsigRecord | undefined {
  let offset = HEADER_BYTES
  for (let left = message.readUInt16BE(4); left > 0; left--) offset = readName(message, offset).end + 4
  let others = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10) - 1
  if (message.readUInt16BE(10) === 0) return undefined
  for (; others > 0; others--) {
    const head = readName(message, offset).end
    offset = head + 10 + message.readUInt16BE(head + 8)
  }
  return readTsig(message, offset)
}

export function untrusted(reason: string, why: string): HookError {
  return new HookError('ERR_HOOK_UNTRUSTED', `Cannot accept the DNS server's response: ${why}`, { reason })
}

function readTsig(message: Buffer, start: number): TsigRecord | undefined {
  const { name: keyName, end: head } = readName(message, start)
  if (message.readUInt16BE(head) !== TSIG_TYPE || message.readUInt16BE(head + 2) !== ANY_CLASS) return undefined
  if (head + 10 + message.readUInt16BE(head + 8) !== message.length) throw new RangeError('Bytes behind the signature')
  const { name: algorithm, end: at } = readName(message, head + 10)
  const macEnd = at + 10 + message.readUInt16BE(at + 8)
  const otherEnd = macEnd + 6 + message.readUInt16BE(macEnd + 4)
  if (otherEnd !== message.length) throw new RangeError('Signature of another length than it says')
  return {
    start,
    keyName,
    algorithm,
    timeSeconds: message.readUIntBE(at, 6),
    fudgeSeconds: message.readUInt16BE(at + 6),
    mac: message.subarray(at + 10, macEnd),
    originalId: message.readUInt16BE(macEnd),
    error: message.readUInt16BE(macEnd + 2),
    other: message.subarray(macEnd + 6, otherEnd),
  }
}

/** Reads a name, following pointers, which may only lead back: a loop ends in an error. */
function readName(message: Buffer, from: number): { name: string; end: number } {
  const labels: string[] = []
  let offset = from
  let end: number | undefined
  let earliest = from
  for (let length = message.readUInt8(offset); length !== 0; length = message.readUInt8(offset)) {
    if ((length & 0xc0) === 0xc0) {
      end ??= offset + 2
      offset = message.readUInt16BE(offset) & 0x3fff
      if (offset >= earliest) throw new RangeError('Pointer that does not lead back')
      earliest = offset
      continue
    }
    if (length > 63 || offset + 1 + length > message.length) throw new RangeError('Label that is too long')
    labels.push(message.toString('latin1', offset + 1, offset + 1 + length).toLowerCase())
    offset += 1 + length
  }
  return { name: labels.join('.'), end: end ?? offset + 1 }
}

/** The fields of the signature that it covers itself, in canonical form (RFC 8945 section 4.3.3). */
function variablesOf(keyName: string, timeSeconds: number, fudge: number, error: number, other: Buffer): Buffer {
  return Buffer.concat([
    encodedName(keyName),
    uint16(ANY_CLASS),
    Buffer.alloc(4),
    encodedName(ALGORITHM),
    uint48(timeSeconds),
    uint16(fudge),
    uint16(error),
    uint16(other.length),
    other,
  ])
}

function computeMac(key: TsigKey, parts: readonly Buffer[]): Buffer {
  const hmac = createHmac('sha256', key.secret.reveal())
  for (const part of parts) hmac.update(part)
  return hmac.digest()
}

function uint48(value: number): Buffer {
  const buffer = Buffer.alloc(6)
  buffer.writeUIntBE(value, 0, 6)
  return buffer
}

function clocksApart(tsig: TsigRecord, nowSeconds: number): HookError {
  const apart = tsig.other.length === 6 ? `${Math.abs(tsig.other.readUIntBE(0, 6) - nowSeconds)} s` : 'too far'
  return new HookError(
    'ERR_HOOK_REFUSED',
    `Cannot update DNS: the clocks of this machine and the server are ${apart} apart; ${FUDGE_SECONDS} s are allowed, set the clock`,
    { reason: 'BADTIME' },
  )
}
