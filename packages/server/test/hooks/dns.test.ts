import { decode } from 'dns-packet'
import { requireTenantId, Secret } from 'rowhouse'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { exchangeDns } from '../../src/hooks/dns-exchange.ts'
import { additionOf, deletionOf, encodeUpdate } from '../../src/hooks/dns-message.ts'
import { type DnsProvider, type DnsRecord, ownerMark } from '../../src/hooks/dns-provider.ts'
import { dnsStep } from '../../src/hooks/dns-step.ts'
import { findTsig, signMessage } from '../../src/hooks/dns-tsig.ts'
import { type Rfc2136Options, rfc2136Provider } from '../../src/hooks/rfc2136.ts'
import type { StepContext } from '../../src/provision/step.ts'
import { type Alteration, type DnsRelay, startRelay, startSilentServer } from './dns-relay.ts'
import { freePort, hasNamed, type NamedServer, startNamed, ZONE } from './named.ts'

const OWNER = '0190a1b2-0000-7000-8000-000000000001'
const SKEW_MS = 600_000

const record = (slug: string, target: DnsRecord['target'] = { a: ['192.0.2.1'] }): DnsRecord => ({
  name: `${slug}.app.${ZONE}`,
  target,
  ttlSeconds: 60,
  owner: OWNER,
})

const contextOf = (slug: string, id = OWNER): StepContext => ({
  tenant: { id: requireTenantId(id), slug, name: slug, plan: undefined, region: undefined },
  idempotencyKey: 'run-1',
  signal: new AbortController().signal,
  log: { debug() {}, info() {}, warn() {}, error() {} },
})

describe.skipIf(!hasNamed)('names in DNS, on a real server (needs bind9)', () => {
  let named: NamedServer
  let dns: DnsProvider
  const relays: DnsRelay[] = []
  const provider = (options: Partial<Rfc2136Options> = {}): DnsProvider =>
    rfc2136Provider({ host: '127.0.0.1', port: named.port, zone: ZONE, key: named.key, ...options })
  const through = async (alter: Alteration): Promise<DnsProvider> => {
    const relay = await startRelay(named.port, alter)
    relays.push(relay)
    return provider({ port: relay.port })
  }

  /** Changes the zone without a condition, as somebody else with the key could. */
  const change = async (...changes: Buffer[]): Promise<void> => {
    const plain = encodeUpdate(1, { zone: ZONE, conditions: [], changes })
    const key = { name: named.key.name, secret: new Secret(Buffer.from(named.key.secret.reveal(), 'base64')) }
    const { message } = signMessage(plain, key, Date.now())
    await exchangeDns({ host: '127.0.0.1', port: named.port, timeoutMs: 5_000 }, message, undefined)
  }

  beforeAll(async () => {
    named = await startNamed()
    dns = provider()
  })
  afterEach(async () => {
    for (const relay of relays.splice(0)) await relay.close()
  })
  afterAll(() => named.stop())

  describe('upsert() and lookup()', () => {
    it('write addresses of both families, and read them back in their short form', async () => {
      await dns.upsert(record('both', { a: ['192.0.2.1', '192.0.2.2'], aaaa: ['2001:DB8:0:0::1'] }))
      expect([...(await dns.lookup(`both.app.${ZONE}`, 'A'))].sort()).toEqual(['192.0.2.1', '192.0.2.2'])
      expect(await dns.lookup(`both.app.${ZONE}`, 'AAAA')).toEqual(['2001:db8::1'])
      expect(await dns.lookup(`_rowhouse.both.app.${ZONE}`, 'TXT')).toEqual([`rowhouse-owner=${OWNER}`])
    })

    it('write an alias with its mark', async () => {
      await dns.upsert(record('alias', { cname: 'edge.example.test' }))
      expect(await dns.lookup(`alias.app.${ZONE}`, 'CNAME')).toEqual(['edge.example.test'])
      expect(await dns.lookup(`alias.app.${ZONE}`, 'A')).toEqual([])
    })

    it('may be repeated, and follow a target that changes its kind', async () => {
      await dns.upsert(record('again'))
      await dns.upsert(record('again'))
      await dns.upsert(record('again', { cname: 'edge.example.test' }))
      expect(await dns.lookup(`again.app.${ZONE}`, 'A')).toEqual([])
      await dns.upsert(record('again', { a: ['192.0.2.3'] }))
      expect(await dns.lookup(`again.app.${ZONE}`, 'A')).toEqual(['192.0.2.3'])
      expect(await dns.lookup(`again.app.${ZONE}`, 'CNAME')).toEqual([])
    })

    it.each([
      ['a foreign address', 'foreign'],
      ['an equal address without a mark', 'same'],
      ['a record of another type', 'text'],
      ["another tenant's mark and an equal address", 'other'],
    ])('refuse a name with %s, and leave it as it was', async (_, slug) => {
      const before = await zoneOf(dns, slug)
      await expect(dns.upsert(record(slug))).rejects.toMatchObject({
        code: 'ERR_HOOK_REFUSED',
        reason: 'name-taken',
        message: `Cannot point "${slug}.app.${ZONE}": the name is in use and not marked as this tenant's; remove its records, or choose another slug`,
      })
      expect(await zoneOf(dns, slug)).toEqual(before)
    })

    it('refuse an alias where somebody put other records beside the mark', async () => {
      await dns.upsert(record('shared'))
      await change(additionOf({ name: `shared.app.${ZONE}`, type: 'TXT', value: 'theirs' }, 60))
      await expect(dns.upsert(record('shared', { cname: 'edge.example.test' }))).rejects.toMatchObject({
        code: 'ERR_HOOK_REFUSED',
        reason: 'name-taken',
      })
      expect(await dns.lookup(`shared.app.${ZONE}`, 'TXT')).toEqual(['theirs'])
    })

    it('give a name to one of two tenants that ask at once', async () => {
      const rival = { ...record('race'), owner: '0190a1b2-0000-7000-8000-000000000002' }
      const outcomes = await Promise.allSettled([dns.upsert(record('race')), dns.upsert(rival)])
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    })
  })

  describe('remove()', () => {
    it('removes what it made, once', async () => {
      await dns.upsert(record('gone', { a: ['192.0.2.1'], aaaa: ['2001:db8::1'] }))
      expect(await dns.remove(record('gone'))).toBe(true)
      expect(await zoneOf(dns, 'gone')).toEqual([])
      expect(await dns.remove(record('gone'))).toBe(false)
    })

    it.each(['foreign', 'same', 'other', 'never'])('leaves "%s" alone, which is not the owner’s', async (slug) => {
      const before = await zoneOf(dns, slug)
      expect(await dns.remove(record(slug))).toBe(false)
      expect(await zoneOf(dns, slug)).toEqual(before)
    })

    it('leaves a name alone that the same message without its condition removes', async () => {
      const victim = { ...record('victim'), owner: 'another-tenant' }
      await dns.upsert(victim)
      expect(await dns.remove(record('victim'))).toBe(false)
      expect(await dns.lookup(victim.name, 'A')).toEqual(['192.0.2.1'])
      await change(deletionOf(victim.name, 'A'))
      expect(await dns.lookup(victim.name, 'A')).toEqual([])
    })
  })

  describe('dnsStep()', () => {
    it('checks, does and undoes, each as often as it is asked', async () => {
      const step = dnsStep({
        provider: dns,
        zone: `app.${ZONE}`,
        target: { a: ['192.0.2.1'], aaaa: ['2001:db8:0::1'] },
      })
      const acme = contextOf('acme')
      expect(step.name).toBe('dns')
      expect(await step.check(acme)).toBe(false)
      await step.do(acme)
      await step.do(acme)
      expect(await step.check(acme)).toBe(true)
      const another = contextOf('acme', '0190a1b2-0000-7000-8000-000000000002')
      expect(await step.check(another)).toBe(false)
      await step.undo(another)
      expect(await step.check(acme)).toBe(true)
      await step.leave?.(acme)
      await step.undo(acme)
      expect(await step.check(acme)).toBe(false)
    })

    it('sees a target that has changed as work to do', async () => {
      await dnsStep({ provider: dns, zone: `app.${ZONE}`, target: { a: ['192.0.2.1'] } }).do(contextOf('moved'))
      const step = dnsStep({ provider: dns, zone: `app.${ZONE}`, target: { cname: 'edge.example.test' } })
      expect(await step.check(contextOf('moved'))).toBe(false)
      await step.do(contextOf('moved'))
      expect(await step.check(contextOf('moved'))).toBe(true)
    })

    it('stops when the run is stopped', async () => {
      const step = dnsStep({ provider: dns, zone: `app.${ZONE}`, target: { a: ['192.0.2.1'] } })
      const signal = AbortSignal.abort(new Error('stopped'))
      await expect(step.do({ ...contextOf('acme'), signal })).rejects.toThrow('stopped')
    })
  })

  describe('the server refuses', () => {
    const refusal = (key: string, reason: string, remedy: string, zone = ZONE) => ({
      code: 'ERR_HOOK_REFUSED',
      reason,
      retryable: false,
      message: `Cannot update the zone "${zone}" on 127.0.0.1:${named.port} with the key "${key}": the server answered ${reason}; ${remedy}`,
    })

    it('a key with another secret', async () => {
      const key = { name: 'rowhouse', secret: new Secret(Buffer.alloc(32, 7).toString('base64')) }
      await expect(provider({ key }).upsert(record('wrong'))).rejects.toMatchObject(
        refusal('rowhouse', 'BADSIG', 'its secret of the key is another one; compare both sides'),
      )
    })

    it('a key it does not know', async () => {
      await expect(provider({ key: { ...named.key, name: 'unknown' } }).upsert(record('wrong'))).rejects.toMatchObject(
        refusal(
          'unknown',
          'BADKEY',
          'it does not know the key, or another algorithm of it; configure hmac-sha256 under the same name',
        ),
      )
    })

    it('a key without the right', async () => {
      await expect(provider({ key: named.narrowKey }).upsert(record('wrong'))).rejects.toMatchObject(
        refusal('narrow', 'REFUSED', 'the key may not do this; grant it updates of the zone and queries'),
      )
    })

    it('a zone it does not serve', async () => {
      const elsewhere = { ...record('wrong'), name: 'acme.elsewhere.test' }
      await expect(provider({ zone: 'elsewhere.test' }).upsert(elsewhere)).rejects.toMatchObject(
        refusal(
          'rowhouse',
          'NOTAUTH',
          'it is not the primary of this zone; name the primary server and the zone as it is configured there',
          'elsewhere.test',
        ),
      )
    })

    it('a request signed ten minutes ago', async () => {
      await expect(provider({ now: () => Date.now() - SKEW_MS }).upsert(record('wrong'))).rejects.toMatchObject({
        code: 'ERR_HOOK_REFUSED',
        reason: 'BADTIME',
        message: expect.stringMatching(
          /^Cannot update DNS: the clocks .* are (599|600|601) s apart; 300 s are allowed/,
        ),
      })
    })

    it('all of it without a trace', async () => {
      expect(await zoneOf(dns, 'wrong')).toEqual([])
    })
  })

  describe('a response is refused', () => {
    const untrusted = (reason: string, why: string) => ({
      code: 'ERR_HOOK_UNTRUSTED',
      reason,
      retryable: false,
      message: `Cannot accept the DNS server's response: ${why}`,
    })

    it('when somebody turned a refusal into a success, which an unsigned client would believe', async () => {
      let believed: unknown
      const forged = await through((response) => {
        const altered = Buffer.from(response)
        altered.writeUInt8(altered.readUInt8(3) & 0xf0, 3)
        believed = (decode(altered) as unknown as { rcode: string }).rcode
        return altered
      })
      await expect(forged.upsert(record('foreign'))).rejects.toMatchObject(
        untrusted('response-altered', 'its signature is not one of the key "rowhouse" for this request'),
      )
      expect(believed).toBe('NOERROR')
    })

    it('when its signature was cut off', async () => {
      const stripped = await through((response) => {
        const plain = Buffer.from(response.subarray(0, findTsig(response)?.start))
        plain.writeUInt16BE(plain.readUInt16BE(10) - 1, 10)
        return plain
      })
      await expect(stripped.upsert(record('foreign'))).rejects.toMatchObject(
        untrusted('response-unsigned', 'it says YXDOMAIN and is not signed'),
      )
    })

    it('when it is the right answer to another request', async () => {
      let first: Buffer | undefined
      const replaying = await through((response, request) => {
        first ??= Buffer.from(response)
        const replayed = Buffer.from(first)
        replayed.writeUInt16BE(request.readUInt16BE(0), 0)
        return replayed
      })
      expect(await replaying.lookup(`foreign.app.${ZONE}`, 'A')).toEqual(['192.0.2.99'])
      await expect(replaying.lookup(`foreign.app.${ZONE}`, 'A')).rejects.toMatchObject(
        untrusted('response-altered', 'its signature is not one of the key "rowhouse" for this request'),
      )
    })

    it('when it was signed at another time', async () => {
      const times = [Date.now(), Date.now() + SKEW_MS]
      const slow = provider({ now: () => times.shift() ?? 0 })
      await expect(slow.lookup(`foreign.app.${ZONE}`, 'A')).rejects.toMatchObject(
        untrusted('response-stale', 'it was signed at another time; compare the clocks of this machine and the server'),
      )
    })

    it.each<[string, Alteration, string]>([
      [
        'it carries another id',
        (r) => Buffer.concat([Buffer.from([r.readUInt8(0) ^ 1]), r.subarray(1)]),
        'it answers another message, or none',
      ],
      ['it is the request itself', (_, request) => request, 'it answers another message, or none'],
      ['it has three bytes', () => Buffer.from('abc'), 'it answers another message, or none'],
      ['it ends in the middle', (r) => r.subarray(0, r.length - 5), 'its records run past its end'],
      ['a name points to itself', (r) => withLoop(r), 'its records run past its end'],
    ])('when %s', async (_, alter, why) => {
      const broken = await through(alter)
      await expect(broken.lookup(`foreign.app.${ZONE}`, 'A')).rejects.toMatchObject(
        untrusted('response-malformed', why),
      )
    })
  })

  it('a server that hangs up can be asked again', async () => {
    const relay = await startRelay(named.port, () => undefined)
    relays.push(relay)
    await expect(provider({ port: relay.port }).upsert(record('hung-up'))).rejects.toMatchObject({
      code: 'ERR_HOOK_UNAVAILABLE',
      retryable: true,
      message: `Cannot reach the DNS server 127.0.0.1:${relay.port}: it hung up; try again when it answers`,
    })
    // The update had been made: the repeat finds its own mark.
    await dns.upsert(record('hung-up'))
  })
})

describe('names in DNS, without a server', () => {
  const key = { name: 'rowhouse', secret: new Secret(Buffer.alloc(32, 1).toString('base64')) }
  const options: Rfc2136Options = { host: '127.0.0.1', port: 1, zone: ZONE, key }

  it('rfc2136Provider() says that the server is down, and that trying again can help', async () => {
    const port = await freePort()
    await expect(rfc2136Provider({ ...options, port }).upsert(record('acme'))).rejects.toMatchObject({
      code: 'ERR_HOOK_UNAVAILABLE',
      retryable: true,
      message: `Cannot reach the DNS server 127.0.0.1:${port}: ECONNREFUSED; try again when it answers`,
    })
  })

  it('rfc2136Provider() gives up on a server that hangs, and at once when it is told to', async () => {
    const silent = await startSilentServer()
    const hanging = rfc2136Provider({ ...options, port: silent.port, timeoutMs: 50 })
    await expect(hanging.upsert(record('acme'))).rejects.toMatchObject({
      code: 'ERR_TIMEOUT',
      retryable: true,
      message: `Cannot wait for the DNS server 127.0.0.1:${silent.port}: no answer within 50 ms; try again, the update may have been made`,
    })
    const stop = new AbortController()
    const patient = rfc2136Provider({ ...options, port: silent.port, timeoutMs: 60_000 })
    const asked = patient.upsert(record('acme'), stop.signal)
    stop.abort(new Error('stopped'))
    await expect(asked).rejects.toThrow('stopped')
    await silent.close()
  })

  it.each<[string, Partial<DnsRecord>, string]>([
    ['a wildcard', { name: `*.app.${ZONE}` }, 'a wildcard answers for every tenant; name one host'],
    ['a name outside the zone', { name: 'acme.example.com' }, `it does not lie below the zone "${ZONE}"`],
    ['the zone itself', { name: ZONE }, `it does not lie below the zone "${ZONE}"`],
    [
      'a label of 64 characters',
      { name: `${'a'.repeat(64)}.${ZONE}` },
      `"${'a'.repeat(64)}" is no label of a host name; wanted 1 to 63 lower-case letters, digits and hyphens`,
    ],
    [
      'an empty label',
      { name: `a..${ZONE}` },
      '"" is no label of a host name; wanted 1 to 63 lower-case letters, digits and hyphens',
    ],
    [
      'capitals',
      { name: `Acme.${ZONE}` },
      '"Acme" is no label of a host name; wanted 1 to 63 lower-case letters, digits and hyphens',
    ],
    [
      'an underscore',
      { name: `_rowhouse.${ZONE}` },
      '"_rowhouse" is no label of a host name; wanted 1 to 63 lower-case letters, digits and hyphens',
    ],
    ['a name of 254 characters', { name: `${'a.'.repeat(121)}${ZONE}` }, 'it is longer than 253 characters'],
    [
      'a name whose mark has no room',
      { name: `${'a.'.repeat(120)}${ZONE}` },
      'its mark is longer than 253 characters; choose a shorter one',
    ],
    ['a time to live of 0', { ttlSeconds: 0 }, 'a time to live of 0 s is out of bounds; wanted 1 to 86400'],
    ['an owner with a quote', { owner: '"' }, 'its owner is not 1 to 200 letters, digits, "-", "_", ":" and "."'],
  ])('upsert() refuses %s before anything is sent', async (_, part, why) => {
    const wrong = { ...record('acme'), ...part }
    await expect(rfc2136Provider(options).upsert(wrong)).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: `Cannot write "${wrong.name}" into DNS: ${why}`,
    })
  })

  it.each<[string, unknown, string]>([
    ['nothing', {}, 'wanted addresses or one "cname", not both'],
    ['both kinds', { a: ['192.0.2.1'], cname: 'a.test' }, 'wanted addresses or one "cname", not both'],
    ['no address', { a: ['192.0.2'] }, '"192.0.2" is no address of its family'],
    ['the other family', { aaaa: ['192.0.2.1'] }, '"192.0.2.1" is no address of its family'],
    ['nine addresses', { a: Array(9).fill('192.0.2.1') }, '9 addresses; wanted 8 at most'],
  ])('dnsStep() refuses a target of %s', (_, target, why) => {
    const provider = rfc2136Provider(options)
    expect(() => dnsStep({ provider, zone: ZONE, target: target as DnsRecord['target'] })).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_INVALID', message: `Cannot point names in DNS: ${why}` }),
    )
  })

  it.each<[string, Partial<Rfc2136Options>, string]>([
    ['no host', { host: '' }, 'its host is empty; name the primary server of the zone'],
    ['port 0', { port: 0 }, 'port 0 is none; wanted 1 to 65535'],
    ['no timeout', { timeoutMs: Number.NaN }, 'a timeout of NaN ms is out of bounds; wanted 1 to 60000'],
    [
      'a short secret',
      { key: { name: 'k', secret: new Secret('c2hvcnQ=') } },
      'the secret of key "k" is not base64 of 16 bytes or more',
    ],
  ])('rfc2136Provider() refuses %s', (_, part, why) => {
    expect(() => rfc2136Provider({ ...options, ...part })).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_INVALID', message: `Cannot use the DNS server: ${why}` }),
    )
  })
})

async function zoneOf(dns: DnsProvider, slug: string): Promise<string[]> {
  const name = `${slug}.app.${ZONE}`
  const found = await Promise.all([
    ...(['A', 'AAAA', 'CNAME', 'TXT'] as const).map((type) => dns.lookup(name, type)),
    dns.lookup(ownerMark(name, '').name, 'TXT'),
  ])
  return found.flat().sort()
}

/** Makes the first name of the response point to itself. */
function withLoop(response: Buffer): Buffer {
  const altered = Buffer.from(response)
  altered.writeUInt16BE(0xc00c, 12)
  return altered
}
