import { randomInt } from 'node:crypto'
import { type DecodedPacket, decode, encode } from 'dns-packet'
import { ConfigError, HookError, Secret, UnavailableError } from 'rowhouse'
import { type DnsServer, exchangeDns } from './dns-exchange.ts'
import {
  additionOf,
  type DnsUpdate,
  deletionOf,
  encodeUpdate,
  HEADER_BYTES,
  nameIsFree,
  UPDATE_OPCODE,
  valueIs,
} from './dns-message.ts'
import {
  canonicalIpv6,
  type DnsProvider,
  type DnsRecord,
  type DnsType,
  entriesOf,
  haveSameValues,
  ownerMark,
  requireDnsRecord,
  requireHostName,
} from './dns-provider.ts'
import { BADTIME, findTsig, openResponse, signMessage, type TsigKey, untrusted } from './dns-tsig.ts'

export interface Rfc2136Options {
  /** Primary server of the zone: host name or address. */
  readonly host: string
  /** @defaultValue 53 */
  readonly port?: number
  /** Zone that is updated, lower case, no trailing dot. */
  readonly zone: string
  /** TSIG key, hmac-sha256: its name on the server, and its secret in base64 as `tsig-keygen` prints it. */
  readonly key: { readonly name: string; readonly secret: Secret<string> }
  /** Upper bound for one exchange with the server, 1–60 000 milliseconds. @defaultValue 5_000 */
  readonly timeoutMs?: number
  /** Clock, in milliseconds since 1970. @defaultValue Date.now */
  readonly now?: () => number
}

const DEFAULT_PORT = 53
const DEFAULT_TIMEOUT_MS = 5_000
const MAX_TIMEOUT_MS = 60_000
/** A secret shorter than this is a placeholder, not a key. */
const MIN_SECRET_BYTES = 16
const TARGET_TYPES: readonly DnsType[] = ['A', 'AAAA', 'CNAME']

const RCODES = 'NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE'.split(' ')
const TSIG_ERRORS = new Map([
  [16, 'BADSIG'],
  [17, 'BADKEY'],
  [BADTIME, 'BADTIME'],
  [22, 'BADTRUNC'],
])

/** What to do about an answer that trying again does not change. */
const REMEDIES: Readonly<Record<string, string>> = {
  BADSIG: 'its secret of the key is another one; compare both sides',
  BADKEY: 'it does not know the key, or another algorithm of it; configure hmac-sha256 under the same name',
  REFUSED: 'the key may not do this; grant it updates of the zone and queries',
  NOTAUTH: 'it is not the primary of this zone; name the primary server and the zone as it is configured there',
  NOTZONE: 'the name lies in another zone; name the zone that holds it',
  NOTIMP: 'it takes no updates; enable dynamic updates, or use another provider',
}

/**
 * Writes names into a zone with DNS UPDATE (RFC 2136) over TCP, signed with TSIG (RFC 8945); BIND, Knot, PowerDNS and
 * others take them.
 *
 * A name is taken only while it is free, and changed only while it carries its owner's mark: the server judges both together
 * with the change. A response counts only when its signature is right. One connection for each exchange.
 *
 * The methods throw:
 * - {ConfigError} `ERR_CONFIG_INVALID` for a record that cannot stand in the zone; nothing was sent
 * - {HookError} `ERR_HOOK_REFUSED`, `reason` an RCODE or TSIG error by name, or `name-taken`
 * - {HookError} `ERR_HOOK_UNTRUSTED` for a response that is unsigned, altered, stale or malformed
 * - {UnavailableError} `ERR_HOOK_UNAVAILABLE`, `ERR_TIMEOUT`; safe to retry: yes, both methods may run twice
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a zone, key, port or timeout that cannot be used
 * @example
 * ```ts
 * import { Secret } from 'rowhouse'
 * import { rfc2136Provider } from 'rowhouse-server'
 * const secret = new Secret('c2l4dGVlbiBieXRlcyBvciBtb3JlIG9mIGtleQ==')
 * const provider = rfc2136Provider({ host: 'ns1.example.com', zone: 'example.com', key: { name: 'rowhouse', secret } })
 * console.assert(typeof provider.upsert === 'function')
 * ```
 */
export function rfc2136Provider(options: Rfc2136Options): DnsProvider {
  const zone = requireHostName(options.zone)
  const session: Session = {
    server: requireServer(options),
    key: requireKey(options.key),
    zone,
    now: options.now ?? Date.now,
  }
  return {
    upsert: async (record, signal) => upsert(session, requireDnsRecord(record, zone), signal),
    remove: async (record, signal) => remove(session, requireDnsRecord(record, zone), signal),
    lookup: (name, type, signal) => lookup(session, name, type, signal),
  }
}

interface Session {
  readonly server: DnsServer
  readonly key: TsigKey
  readonly zone: string
  readonly now: () => number
}

async function upsert(session: Session, record: DnsRecord, signal: AbortSignal | undefined): Promise<void> {
  const { name } = record
  const mark = ownerMark(name, record.owner)
  const additions = [...entriesOf(record), mark].map((entry) => additionOf(entry, record.ttlSeconds))
  const claim = { conditions: [nameIsFree(name), nameIsFree(mark.name)], changes: additions }
  if ((await update(session, claim, ['YXDOMAIN'], signal)) === 'NOERROR') return
  const deletions = TARGET_TYPES.map((type) => deletionOf(name, type))
  const renewal = { conditions: [valueIs(mark)], changes: [...deletions, ...additions] }
  if ((await update(session, renewal, ['NXRRSET', 'NXDOMAIN'], signal)) !== 'NOERROR') throw nameTaken(name)
  // A server passes over an alias beside other records, and addresses beside an alias, without a word (RFC 2136 3.4.2.2).
  if (!(await hasTarget(session, record, signal))) throw nameTaken(name)
}

async function remove(session: Session, record: DnsRecord, signal: AbortSignal | undefined): Promise<boolean> {
  const mark = ownerMark(record.name, record.owner)
  const changes = [...TARGET_TYPES.map((type) => deletionOf(record.name, type)), deletionOf(mark.name, mark.type)]
  return (
    (await update(session, { conditions: [valueIs(mark)], changes }, ['NXRRSET', 'NXDOMAIN'], signal)) === 'NOERROR'
  )
}

async function lookup(
  session: Session,
  name: string,
  type: DnsType,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  // The mark's label begins with an underscore, which no host name has.
  requireHostName(name.replace(/^_/, ''))
  const id = randomInt(0x1_0000)
  const { rcode, packet } = await ask(session, encode({ type: 'query', id, questions: [{ name, type }] }), signal)
  if (rcode === 'NXDOMAIN') return []
  if (rcode !== 'NOERROR') throw refusedBy(session, rcode)
  const matches = packet.answers?.filter((answer) => answer.type === type && answer.name.toLowerCase() === name) ?? []
  return matches.map((answer) => textOf(answer as { readonly type: DnsType; readonly data: unknown }))
}

async function hasTarget(session: Session, record: DnsRecord, signal: AbortSignal | undefined): Promise<boolean> {
  const wanted = entriesOf(record)
  for (const type of new Set(wanted.map((entry) => entry.type))) {
    const values = wanted.filter((entry) => entry.type === type).map(({ value }) => value)
    if (!haveSameValues(values, await lookup(session, record.name, type, signal))) return false
  }
  return true
}

/** Returns NOERROR or one of the RCODEs the caller expects; every other one is an error. */
async function update(
  session: Session,
  parts: Omit<DnsUpdate, 'zone'>,
  expected: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string> {
  const message = encodeUpdate(randomInt(0x1_0000), { zone: session.zone, ...parts })
  const { rcode } = await ask(session, message, signal)
  if (rcode === 'NOERROR' || expected.includes(rcode)) return rcode
  throw refusedBy(session, rcode)
}

async function ask(
  session: Session,
  plain: Buffer,
  signal: AbortSignal | undefined,
): Promise<{ rcode: string; packet: DecodedPacket }> {
  const { message, mac } = signMessage(plain, session.key, session.now())
  const response = await exchangeDns(session.server, message, signal)
  const opened = verified(session, plain, response, mac)
  try {
    return { rcode: rcodeOf(opened), packet: decode(opened) }
  } catch {
    throw untrusted('response-malformed', 'it is signed, and no DNS message')
  }
}

/** Returns the response without its signature, once it answers `request` and is signed with our key. */
function verified(session: Session, request: Buffer, response: Buffer, mac: Buffer): Buffer {
  if (response.length < HEADER_BYTES || !answers(request, response)) {
    throw untrusted('response-malformed', 'it answers another message, or none')
  }
  const tsig = readSignature(response)
  const rcode = rcodeOf(response)
  if (tsig === undefined) throw untrusted('response-unsigned', `it says ${rcode} and is not signed`)
  // A server that could not verify the request cannot sign its answer. Whoever forges this one can only make us stop.
  const refusal = TSIG_ERRORS.get(tsig.error)
  if (tsig.mac.length === 0 && rcode === 'NOTAUTH' && refusal !== undefined) throw refusedBy(session, refusal)
  return openResponse(response, tsig, session.key, mac, session.now())
}

function readSignature(response: Buffer) {
  try {
    return findTsig(response)
  } catch {
    throw untrusted('response-malformed', 'its records run past its end')
  }
}

function answers(request: Buffer, response: Buffer): boolean {
  const opcode = (response.readUInt8(2) >> 3) & 0xf
  const wanted = (request.readUInt8(2) >> 3) & 0xf
  const isResponse = (response.readUInt8(2) & 0x80) !== 0
  const sameId = response.readUInt16BE(0) === request.readUInt16BE(0)
  return isResponse && sameId && opcode === wanted && (opcode === UPDATE_OPCODE || opcode === 0)
}

function rcodeOf(message: Buffer): string {
  const rcode = message.readUInt8(3) & 0xf
  return RCODES[rcode] ?? `RCODE${rcode}`
}

function textOf({ type, data }: { readonly type: DnsType; readonly data: unknown }): string {
  if (type === 'TXT') return Buffer.concat([data].flat().map((part) => Buffer.from(part as Buffer))).toString('utf8')
  if (type === 'AAAA') return canonicalIpv6(String(data))
  return String(data).toLowerCase()
}

function refusedBy({ server, zone, key }: Session, rcode: string): HookError | UnavailableError {
  const subject = `Cannot update the zone "${zone}" on ${server.host}:${server.port} with the key "${key.name}"`
  if (rcode === 'SERVFAIL') {
    return new UnavailableError(
      'ERR_HOOK_UNAVAILABLE',
      `${subject}: the server failed (SERVFAIL); try again, then read its log`,
    )
  }
  const remedy = REMEDIES[rcode] ?? 'read its log'
  return new HookError('ERR_HOOK_REFUSED', `${subject}: the server answered ${rcode}; ${remedy}`, { reason: rcode })
}

function nameTaken(name: string): HookError {
  return new HookError(
    'ERR_HOOK_REFUSED',
    `Cannot point "${name}": the name is in use and not marked as this tenant's; remove its records, or choose another slug`,
    { reason: 'name-taken' },
  )
}

function requireServer({ host, port = DEFAULT_PORT, timeoutMs = DEFAULT_TIMEOUT_MS }: Rfc2136Options): DnsServer {
  if (host === '') throw invalid('its host is empty; name the primary server of the zone')
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid(`port ${port} is none; wanted 1 to 65535`)
  if (!(timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS)) {
    throw invalid(`a timeout of ${timeoutMs} ms is out of bounds; wanted 1 to ${MAX_TIMEOUT_MS}`)
  }
  return { host, port, timeoutMs }
}

function requireKey(key: Rfc2136Options['key']): TsigKey {
  const text = key.secret.reveal()
  const secret = Buffer.from(text, 'base64')
  if (secret.length < MIN_SECRET_BYTES || secret.toString('base64') !== text) {
    throw invalid(`the secret of key "${key.name}" is not base64 of ${MIN_SECRET_BYTES} bytes or more`)
  }
  return { name: requireHostName(key.name), secret: new Secret(secret) }
}

function invalid(why: string): ConfigError {
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot use the DNS server: ${why}`)
}
