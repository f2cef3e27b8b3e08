import { createHmac } from 'node:crypto'
import { Secret } from 'rowhouse'
import { describe, expect, it } from 'vitest'
import { parseBillingEvent } from '../../src/hooks/billing-event.ts'
import { verifyWebhook } from '../../src/hooks/webhook-signature.ts'

const NOW_MS = 1_700_000_000_000
const NOW = String(NOW_MS / 1_000)
const key = Buffer.alloc(32, 5)
const secretOf = (bytes: Buffer) => new Secret(`whsec_${bytes.toString('base64')}`)
const secret = secretOf(key)
const another = Buffer.alloc(32, 6)
const options = { now: () => NOW_MS }
const event = (data: object, type: unknown = 'tenant.subscribed') => JSON.stringify({ type, data })
const ACME = { slug: 'acme', name: 'Acme Ltd', plan: 'team', region: 'eu-1' }

function sign(body: string | Uint8Array, id = 'evt_1', time = NOW, by = key): Record<string, string> {
  const mac = createHmac('sha256', by).update(`${id}.${time}.`).update(body).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': `v1,${mac}` }
}

const refused = (why: string) =>
  expect.objectContaining({ code: 'ERR_CREDENTIAL_INVALID', message: `Cannot accept a webhook: ${why}` })
const WRONG = 'no signature fits its body and one of the secrets'

describe('verifyWebhook()', () => {
  it('agrees with the example of the specification', () => {
    const headers = {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    }
    const known = new Secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
    const { id, sentAt } = verifyWebhook(headers, '{"test": 2432232314}', [known], { now: () => 1_614_265_330_000 })
    expect([id, sentAt.toISOString()]).toEqual(['msg_p5jXN8AQM9LWM0D4loKWxJek', '2021-02-25T15:02:10.000Z'])
  })

  it('takes text and bytes, headers of Node and of a Request', () => {
    const body = event({ name: 'Über' })
    expect(verifyWebhook(sign(body), body, [secret], options).id).toBe('evt_1')
    expect(verifyWebhook(new Headers(sign(body)), Buffer.from(body), [secret], options).id).toBe('evt_1')
  })

  it('takes either key while they rotate, on either side, and neither once it is retired', () => {
    const headers = sign('{}')
    expect(verifyWebhook(headers, '{}', [secretOf(another), secret], options).id).toBe('evt_1')
    const both = {
      ...headers,
      'webhook-signature': `${sign('{}', 'evt_1', NOW, another)['webhook-signature']} v1a,x ${headers['webhook-signature']}`,
    }
    expect(verifyWebhook(both, '{}', [secret], options).id).toBe('evt_1')
    expect(() => verifyWebhook(headers, '{}', [secretOf(another)], options)).toThrow(refused(WRONG))
  })

  it.each<[string, () => [Record<string, string>, string]]>([
    ['a tampered body', () => [sign(event(ACME)), event({ ...ACME, plan: 'enterprise' })]],
    ['another id, which would make a replay a new event', () => [{ ...sign('{}'), 'webhook-id': 'evt_2' }, '{}']],
    [
      'another time, which would make an old event a fresh one',
      () => [{ ...sign('{}', 'evt_1', '1600000000'), 'webhook-timestamp': NOW }, '{}'],
    ],
    ['another secret', () => [sign('{}', 'evt_1', NOW, another), '{}']],
    ['an empty signature', () => [{ ...sign('{}'), 'webhook-signature': 'v1,' }, '{}']],
    [
      'a signature of another scheme',
      () => [{ ...sign('{}'), 'webhook-signature': (sign('{}')['webhook-signature'] ?? '').replace('v1', 'v0') }, '{}'],
    ],
    [
      'the right signature behind eight others',
      () => [{ ...sign('{}'), 'webhook-signature': `${'v1,AAAA '.repeat(8)}${sign('{}')['webhook-signature']}` }, '{}'],
    ],
  ])('refuses %s', (_, make) => {
    const [headers, body] = make()
    expect(() => verifyWebhook(headers, body, [secret], options)).toThrow(refused(WRONG))
  })

  it.each([-301, 301])('refuses a message %i s away, whose signature alone is right', (seconds) => {
    const headers = sign('{}', 'evt_1', String(Number(NOW) + seconds))
    expect(() => verifyWebhook(headers, '{}', [secret], options)).toThrow(
      refused('it was sent more than 300 s ago or ahead; a message that is sent again has a new time'),
    )
    expect(verifyWebhook(headers, '{}', [secret], { ...options, toleranceSeconds: 600 }).id).toBe('evt_1')
  })

  it.each<[string, Record<string, string | string[] | undefined>, string]>([
    ['no id', { 'webhook-id': undefined }, '"webhook-id", it is missing'],
    ['two ids', { 'webhook-id': ['a', 'b'] }, '"webhook-id", it is doubled or has another form'],
    ['an id with a full stop', { 'webhook-id': 'a.1' }, '"webhook-id", it is doubled or has another form'],
    [
      'a time that is no number',
      { 'webhook-timestamp': '1e9' },
      '"webhook-timestamp", it is doubled or has another form',
    ],
    ['no signature', { 'webhook-signature': undefined }, '"webhook-signature", it is missing'],
  ])('refuses %s', (_, part, why) => {
    expect(() => verifyWebhook({ ...sign('{}'), ...part }, '{}', [secret], options)).toThrow(
      expect.objectContaining({ code: 'ERR_REQUEST_MALFORMED', message: `Cannot read a webhook: header ${why}` }),
    )
  })

  it('reads one message in one way only: id and time cannot be cut elsewhere', () => {
    const inner = `2.${event(ACME)}`
    const headers = sign(inner, 'a', '1')
    // "a" at 1 with the body "2.{…}" and "a.1" at 2 with the body "{…}" are the same signed bytes.
    expect(sign(event(ACME), 'a.1', '2')['webhook-signature']).toBe(headers['webhook-signature'])
    const recut = { ...headers, 'webhook-id': 'a.1', 'webhook-timestamp': '2' }
    expect(() => verifyWebhook(recut, event(ACME), [secret], { now: () => 2_000 })).toThrow(
      expect.objectContaining({ code: 'ERR_REQUEST_MALFORMED' }),
    )
  })

  it('refuses to run without a secret, with a weak one, and with an endless window', () => {
    const invalid = (message: string) => expect.objectContaining({ code: 'ERR_CONFIG_INVALID', message })
    expect(() => verifyWebhook(sign('{}'), '{}', [], options)).toThrow(
      invalid('Cannot verify webhooks: no secret is given; name the one its sender signs with'),
    )
    expect(() => verifyWebhook(sign('{}'), '{}', [new Secret('')], options)).toThrow(
      invalid('Cannot use a webhook secret: wanted "whsec_" and the base64 of 24 to 64 random bytes'),
    )
    expect(() => verifyWebhook(sign('{}'), '{}', [secret], { toleranceSeconds: Number.POSITIVE_INFINITY })).toThrow(
      invalid('Cannot verify webhooks: a window of Infinity s is out of bounds; wanted 1 to 3600'),
    )
  })
})

describe('parseBillingEvent()', () => {
  const parse = (body: string | Uint8Array, headers = sign(body)) => parseBillingEvent(headers, body, [secret], options)

  it('returns what provisioning needs, and nothing else of the body', () => {
    const wanted = { idempotencyKey: 'billing:evt_1', slug: 'acme', name: 'Acme Ltd', plan: 'team', region: 'eu-1' }
    expect(parse(event({ ...ACME, id: 'x', price: 1 }))).toEqual(wanted)
    expect(parse(event({ ...ACME, region: null }))).toEqual({ ...wanted, region: undefined })
  })

  it('gives an event that arrives twice, later or by other hands, the same key', () => {
    const body = event(ACME)
    const later = sign(body, 'evt_1', String(Number(NOW) + 60))
    expect(parse(body, later)?.idempotencyKey).toBe(parse(body)?.idempotencyKey)
    expect(parse(body, sign(body, 'evt_2'))?.idempotencyKey).toBe('billing:evt_2')
  })

  it('passes over signed events of other types, and no unsigned one', () => {
    const body = event({}, 'invoice.paid')
    expect(parse(body)).toBeUndefined()
    expect(() => parse(body, sign(body, 'evt_1', NOW, another))).toThrow(refused(WRONG))
  })

  it.each<[string, string | Uint8Array, string]>([
    ['no JSON', '{', 'its body is no JSON'],
    ['bytes that are no UTF-8', Uint8Array.of(0x22, 0xff, 0x22), 'its body is no JSON'],
    ['a list', '[]', 'its body is no object'],
    ['no type', '{"data":{}}', 'its "type" is no text'],
    ['no data', '{"type":"tenant.subscribed"}', 'its "data" is no object'],
    ['no slug', event({ ...ACME, slug: undefined }), 'its "slug" is no text'],
    ['a number for a slug', event({ ...ACME, slug: 1 }), 'its "slug" is no text'],
    ['an object for a plan', event({ ...ACME, plan: {} }), 'its "plan" is no text'],
    [
      'a plan with a quote',
      event({ ...ACME, plan: "a'b" }),
      'its "plan" is not 1 to 63 lower-case letters, digits, "-" and "_"',
    ],
    [
      'a region with capitals',
      event({ ...ACME, region: 'EU' }),
      'its "region" is not 1 to 63 lower-case letters, digits, "-" and "_"',
    ],
    ...['', ' ', 'a\u0000', '\u202eexe.', '\ud800', 'a'.repeat(201)].map((name): [string, string, string] => [
      `the name ${JSON.stringify(name).slice(0, 20)}`,
      event({ ...ACME, name }),
      'its "name" is empty, longer than 200 characters, or has characters that do not show',
    ]),
    ['64 KiB and a byte', ' '.repeat(65_537), 'it is larger than 65536 bytes'],
  ])('refuses %s', (_, body, why) => {
    expect(() => parse(body)).toThrow(
      expect.objectContaining({ code: 'ERR_REQUEST_MALFORMED', message: `Cannot read a billing event: ${why}` }),
    )
  })

  it.each(['www', 'Acme', 'xn--a', 'аcme'])('refuses the slug "%s", which cannot name a tenant', (slug) => {
    expect(() => parse(event({ ...ACME, slug }))).toThrow(
      expect.objectContaining({
        code: 'ERR_TENANT_SLUG_INVALID',
        message: expect.stringContaining(`Cannot name a tenant "${slug}": `),
      }),
    )
  })
})
