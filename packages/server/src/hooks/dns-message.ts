/**
 * Messages of DNS UPDATE (RFC 2136), as far as `dns-packet` cannot write them: it has no class NONE and no records without
 * data, which is how an update states its conditions and deletions. What a record says is encoded by `dns-packet`.
 */

import { type Answer, encode } from 'dns-packet'
import type { DnsEntry, DnsType } from './dns-provider.ts'

export const HEADER_BYTES = 12
export const UPDATE_OPCODE = 5

const TYPES = { A: 1, CNAME: 5, SOA: 6, TXT: 16, AAAA: 28, ANY: 255 } as const
const CLASSES = { IN: 1, NONE: 254, ANY: 255 } as const
/** Class, type, time to live and length of data of a record whose name is the root, the shortest there is. */
const ROOT_RECORD_HEAD_BYTES = 9
const NO_DATA = Buffer.alloc(2)

/** What has to hold, and what then changes, all of it or nothing (RFC 2136 section 3). */
export interface DnsUpdate {
  readonly zone: string
  /** Conditions, made by `nameIsFree` and `valueIs`. */
  readonly conditions: readonly Buffer[]
  /** Changes, made by `deletionOf` and `additionOf`; applied in this order. */
  readonly changes: readonly Buffer[]
}

export function encodeUpdate(id: number, update: DnsUpdate): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(UPDATE_OPCODE << 11, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(update.conditions.length, 6)
  header.writeUInt16BE(update.changes.length, 8)
  const zone = Buffer.concat([encodedName(update.zone), uint16(TYPES.SOA), uint16(CLASSES.IN)])
  return Buffer.concat([header, zone, ...update.conditions, ...update.changes])
}

/** Condition: the name has no record of any type (RFC 2136 section 2.4.5). */
export function nameIsFree(name: string): Buffer {
  return encodeRecord(name, TYPES.ANY, CLASSES.NONE, 0, NO_DATA)
}

/** Condition: the name has this record, and no other one of its type (RFC 2136 section 2.4.2). */
export function valueIs(entry: DnsEntry): Buffer {
  return encodeRecord(entry.name, TYPES[entry.type], CLASSES.IN, 0, encodedData(entry))
}

/** Change: the name loses all its records of this type. */
export function deletionOf(name: string, type: DnsType): Buffer {
  return encodeRecord(name, TYPES[type], CLASSES.ANY, 0, NO_DATA)
}

export function additionOf(entry: DnsEntry, ttlSeconds: number): Buffer {
  return encodeRecord(entry.name, TYPES[entry.type], CLASSES.IN, ttlSeconds, encodedData(entry))
}

/** Returns the name as labels with their lengths, uncompressed. The caller has checked it: `dns-packet` does not. */
export function encodedName(name: string): Buffer {
  return encode({ questions: [{ name, type: 'A' }] }).subarray(HEADER_BYTES, -4)
}

export function uint16(value: number): Buffer {
  const buffer = Buffer.alloc(2)
  buffer.writeUInt16BE(value)
  return buffer
}

function encodeRecord(name: string, type: number, klass: number, ttlSeconds: number, dataWithLength: Buffer): Buffer {
  const ttl = Buffer.alloc(4)
  ttl.writeUInt32BE(ttlSeconds)
  return Buffer.concat([encodedName(name), uint16(type), uint16(klass), ttl, dataWithLength])
}

/** Returns the data of a record, its length in front. */
function encodedData({ type, value }: DnsEntry): Buffer {
  const answer: Answer = { name: '.', type, data: value }
  return encode({ answers: [answer] }).subarray(HEADER_BYTES + ROOT_RECORD_HEAD_BYTES)
}
