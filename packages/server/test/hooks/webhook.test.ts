import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireTenantId, Secret } from 'rowhouse'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { resolveAllowed } from '../../src/hooks/address-guard.ts'
import { type WebhookStepOptions, webhookStep } from '../../src/hooks/webhook.ts'
import { verifyWebhook } from '../../src/hooks/webhook-signature.ts'
import type { StepContext } from '../../src/provision/step.ts'
import { type Receiver, respond, startReceiver } from './receiver.ts'

const OPENSSL = '/usr/bin/openssl'
const secret = new Secret(`whsec_${Buffer.alloc(32, 3).toString('base64')}`)

const context = (signal = new AbortController().signal, id = '0190a1b2-0000-7000-8000-000000000001'): StepContext => ({
  tenant: { id: requireTenantId(id), slug: 'acme', name: 'Acme Ltd', plan: 'team', region: undefined },
  idempotencyKey: 'run-1',
  signal,
  log: { debug() {}, info() {}, warn() {}, error() {} },
})

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

async function receive(...args: Parameters<typeof startReceiver>): Promise<Receiver> {
  const receiver = await startReceiver(...args)
  open.push(() => receiver.close())
  return receiver
}

function stepTo(port: number, options: Partial<WebhookStepOptions> = {}) {
  return webhookStep({
    name: 'register-billing',
    url: `http://127.0.0.1:${port}/hook?token=hidden`,
    secret,
    events: { check: 'tenant.asked', do: 'tenant.created', undo: 'tenant.discarded' },
    allowPrivate: true,
    backoffMs: 0,
    ...options,
  })
}

describe('webhookStep()', () => {
  it('sends a signed message whose id and body are the same for a repeat, and others for another tenant or phase', async () => {
    const receiver = await receive(respond(204))
    const step = stepTo(receiver.port)
    await step.do(context())
    await step.do(context())
    await step.undo(context())
    await step.do(context(undefined, '0190a1b2-0000-7000-8000-000000000002'))
    const [first, repeat, undone, other] = receiver.received
    const ids = receiver.received.map(({ headers, body }) => verifyWebhook(headers, body, [secret]).id)
    expect(ids[1]).toBe(ids[0])
    expect(new Set(ids).size).toBe(3)
    expect(repeat?.body).toBe(first?.body)
    expect(JSON.parse(first?.body ?? '')).toEqual({
      type: 'tenant.created',
      data: {
        tenant: { id: context().tenant.id, slug: 'acme', name: 'Acme Ltd', plan: 'team', region: null },
        step: 'register-billing',
        phase: 'do',
        idempotencyKey: 'run-1',
      },
    })
    expect(JSON.parse(undone?.body ?? '')).toMatchObject({ type: 'tenant.discarded', data: { phase: 'undo' } })
    expect(other?.headers['content-type']).toBe('application/json')
  })

  it.each([200, 201, 204, 409])('takes %i as done', async (status) => {
    const receiver = await receive(respond(status))
    await stepTo(receiver.port).do(context())
    await stepTo(receiver.port).undo(context())
    expect(receiver.received).toHaveLength(2)
  })

  it.each([400, 401, 404, 410, 422])('fails for good on %i, after one attempt', async (status) => {
    const receiver = await receive(respond(status, {}, 'their secret reasons'))
    await expect(stepTo(receiver.port).do(context())).rejects.toMatchObject({
      code: 'ERR_HOOK_REFUSED',
      reason: `http-${status}`,
      retryable: false,
      message: `Cannot finish step "register-billing": the webhook at "127.0.0.1:${receiver.port}" answered ${status}; mend what its log says, then run the step again`,
    })
    expect(receiver.received).toHaveLength(1)
  })

  it.each([408, 425, 429, 500, 503])('tries again after %i, under one id, until it is done', async (status) => {
    const receiver = await receive((r, _, count) => respond(count < 3 ? status : 200)(r))
    await stepTo(receiver.port).do(context())
    expect(receiver.received).toHaveLength(3)
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  })

  it('gives up after its attempts, and says that trying later can help', async () => {
    const receiver = await receive(respond(503))
    await expect(stepTo(receiver.port, { attempts: 2 }).do(context())).rejects.toMatchObject({
      code: 'ERR_HOOK_UNAVAILABLE',
      retryable: true,
      message: `Cannot finish step "register-billing": the webhook at "127.0.0.1:${receiver.port}" answered 503; try again later`,
    })
    expect(receiver.received).toHaveLength(2)
  })

  it('leaves a long Retry-After to the journal, in seconds and as a date', async () => {
    const seconds = await receive(respond(429, { 'retry-after': '120' }))
    await expect(stepTo(seconds.port).do(context())).rejects.toMatchObject({
      code: 'ERR_HOOK_UNAVAILABLE',
      retryAfterMs: 120_000,
    })
    expect(seconds.received).toHaveLength(1)
    const date = await receive(respond(503, { 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() }))
    const failure = await stepTo(date.port)
      .do(context())
      .catch((error: unknown) => error)
    expect((failure as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(3_500_000)
  })

  it('waits as long as a short Retry-After says, and no longer when the run is stopped', async () => {
    const receiver = await receive((r, _, count) => respond(count === 1 ? 429 : 200, { 'retry-after': '1' })(r))
    const begun = performance.now()
    await stepTo(receiver.port).do(context())
    expect(performance.now() - begun).toBeGreaterThan(990)
    const stop = new AbortController()
    const busy = await receive((r) => {
      respond(429, { 'retry-after': '25' })(r)
      stop.abort(new Error('stopped'))
    })
    await expect(stepTo(busy.port).do(context(stop.signal))).rejects.toThrow('stopped')
    expect(busy.received).toHaveLength(1)
  })

  it('says that a receiver is away, hangs up, or does not answer in time', async () => {
    const gone = await receive(respond(200))
    await gone.close()
    open.pop()
    await expect(stepTo(gone.port).do(context())).rejects.toMatchObject({
      code: 'ERR_HOOK_UNAVAILABLE',
      message: `Cannot call the webhook at "127.0.0.1:${gone.port}": ECONNREFUSED; try again when it answers`,
    })
    const rude = await receive((r) => r.destroy())
    await expect(stepTo(rude.port).do(context())).rejects.toMatchObject({
      code: 'ERR_HOOK_UNAVAILABLE',
      message: `Cannot call the webhook at "127.0.0.1:${rude.port}": ECONNRESET; try again when it answers`,
    })
    expect(rude.received).toHaveLength(4)
    const silent = await receive(() => {})
    await expect(stepTo(silent.port, { timeoutMs: 50, attempts: 1 }).do(context())).rejects.toMatchObject({
      code: 'ERR_TIMEOUT',
      retryable: true,
      message: `Cannot wait for the webhook at "127.0.0.1:${silent.port}": no answer within 50 ms; try again, the receiver may have acted`,
    })
  })

  it('is done with the status: a body that never ends keeps nobody waiting', async () => {
    const receiver = await receive((r) => r.writeHead(200).write('…'))
    await stepTo(receiver.port, { timeoutMs: 5_000, attempts: 1 }).do(context())
    expect(receiver.received).toHaveLength(1)
  })

  it('refuses an answer that is no HTTP', async () => {
    const server = createServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end('SSH-2.0-nothing\r\n'),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    open.push(() => new Promise((resolve) => server.close(resolve)))
    const { port } = server.address() as { port: number }
    await expect(stepTo(port).do(context())).rejects.toMatchObject({
      code: 'ERR_HOOK_UNTRUSTED',
      reason: 'response-malformed',
      message: expect.stringMatching(/^Cannot accept the webhook's answer from "127.0.0.1:\d+": it is no HTTP \(HPE_/),
    })
  })

  describe('check()', () => {
    it.each<[string, number, string, boolean]>([
      ['the plain word', 200, '{"done":true}', true],
      ['a conflict', 409, '', true],
      ['the contrary', 200, '{"done":false}', false],
      ['a yes to everything', 200, 'OK', false],
      ['JSON of another form', 200, '["done"]', false],
      ['a bare null', 200, 'null', false],
      ['no content', 204, '', false],
      ['not found', 404, '', false],
      ['no such method', 405, '', false],
      ['not implemented', 501, '', false],
    ])('hears %s', async (_, status, body, done) => {
      const receiver = await receive(respond(status, {}, body))
      expect(await stepTo(receiver.port).check(context())).toBe(done)
      expect(receiver.received).toHaveLength(1)
    })

    it('asks anew each time, and not at all without an event for it', async () => {
      const receiver = await receive(respond(404))
      await stepTo(receiver.port).check(context())
      await stepTo(receiver.port).check(context())
      expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(2)
      const events = { do: 'tenant.created', undo: 'tenant.discarded' }
      expect(await stepTo(receiver.port, { events }).check(context())).toBe(false)
      expect(receiver.received).toHaveLength(2)
    })

    it('refuses an answer that is too large, and one that refuses', async () => {
      const large = await receive(respond(200, {}, 'x'.repeat(20_000)))
      await expect(stepTo(large.port).check(context())).rejects.toMatchObject({
        code: 'ERR_HOOK_UNTRUSTED',
        reason: 'response-too-large',
        message: `Cannot accept the webhook's answer from "127.0.0.1:${large.port}": it is larger than 16384 bytes`,
      })
      const strict = await receive(respond(403))
      await expect(stepTo(strict.port).check(context())).rejects.toMatchObject({ reason: 'http-403' })
    })
  })

  describe('attacks', () => {
    it('a redirect to a private service is not followed, which fetch() does', async () => {
      const victim = await receive(respond(200))
      const lure = await receive(respond(307, { location: `http://127.0.0.1:${victim.port}/admin` }))
      await expect(stepTo(lure.port).do(context())).rejects.toMatchObject({
        code: 'ERR_HOOK_REFUSED',
        reason: 'redirect',
        message: `Cannot finish step "register-billing": the webhook at "127.0.0.1:${lure.port}" answered 307; redirects are not followed, name the final URL`,
      })
      expect(victim.received).toHaveLength(0)
      await fetch(`http://127.0.0.1:${lure.port}/hook`, { method: 'POST', body: '{}' })
      expect(victim.received.map(({ path }) => path)).toEqual(['/admin'])
    })

    it('a name that answers otherwise after the check leads nowhere else, as it does when it is resolved twice', async () => {
      const victim = await receive(respond(200))
      const receiver = await receive(respond(200), { host: '127.0.0.2', port: victim.port })
      const rebinding = () => {
        const answers = ['127.0.0.2']
        return async () => [answers.shift() ?? '127.0.0.1']
      }
      const url = `http://rebinding.test:${victim.port}/hook`
      await stepTo(victim.port, { url, resolve: rebinding() }).do(context())
      expect([receiver.received.length, victim.received.length]).toEqual([1, 0])
      await postAfterCheck(url, rebinding())
      expect([receiver.received.length, victim.received.length]).toEqual([1, 1])
    })

    it('a private receiver is refused before anything is sent, and reached where that is allowed', async () => {
      const victim = await receive(respond(200))
      await expect(stepTo(victim.port, { allowPrivate: false }).do(context())).rejects.toMatchObject({
        code: 'ERR_HOOK_REFUSED',
        reason: 'address-refused',
        message: `Cannot call the webhook at "127.0.0.1": its address 127.0.0.1 is not allowed, wanted a public one; set allowPrivate when the receiver is on your own network`,
      })
      expect(victim.received).toHaveLength(0)
      await stepTo(victim.port).do(context())
      expect(victim.received).toHaveLength(1)
    })

    it('one private address among public ones refuses the name', async () => {
      const options = { url: 'https://mixed.test/', resolve: async () => ['8.8.8.8', '10.0.0.1'], allowPrivate: false }
      await expect(stepTo(0, options).do(context())).rejects.toMatchObject({
        reason: 'address-refused',
        message: expect.stringContaining('its address 10.0.0.1 is not allowed'),
      })
    })

    it('without encryption nothing leaves this machine', async () => {
      const options = { url: 'http://public.test/', resolve: async () => ['8.8.8.8'] }
      await expect(stepTo(0, options).do(context())).rejects.toMatchObject({
        message: `Cannot call the webhook at "public.test": its address 8.8.8.8 is not allowed, without encryption only loopback may be called; use https`,
      })
    })
  })

  it.each<[string, Partial<WebhookStepOptions>, string]>([
    ['a URL of another scheme', { url: 'ftp://x.test/' }, '"url" is no https URL'],
    ['no URL', { url: 'x' }, '"url" is no https URL'],
    [
      'a password in the URL',
      { url: 'https://a:b@x.test/' },
      '"url" holds a user name; the signature is the credential',
    ],
    ['no attempts', { attempts: 0 }, '"attempts" is 0; wanted a whole number from 1 to 10'],
    ['no time', { timeoutMs: 0 }, '"timeoutMs" is 0; wanted a whole number from 1 to 60000'],
    [
      'an event with capitals',
      { events: { do: 'Created', undo: 'x' } },
      'event "Created" is not lower-case words with full stops, such as "tenant.created"',
    ],
  ])('refuses %s', (_, options, why) => {
    expect(() => stepTo(1, options)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_INVALID', message: `Cannot set up a webhook step: ${why}` }),
    )
  })

  it('refuses a short secret without repeating it, and a name that is no name', () => {
    expect(() => stepTo(1, { secret: new Secret('whsec_c2hvcnQ=') })).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_INVALID',
        message: 'Cannot use a webhook secret: wanted "whsec_" and the base64 of 24 to 64 random bytes',
      }),
    )
    expect(() => stepTo(1, { name: 'Billing 1' })).toThrow(
      new TypeError('Cannot name a step "Billing 1": wanted lower-case words with hyphens, 63 characters at most'),
    )
  })
})

describe('addresses', () => {
  const rules = { allowPrivate: false, loopbackOnly: false }
  const isRefused = (address: string, allowPrivate = false) =>
    resolveAllowed('x.test', { ...rules, allowPrivate }, async () => [address]).then(
      () => false,
      (error: { reason: string }) => error.reason === 'address-refused',
    )

  it.each(['8.8.8.8', '172.15.0.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111'])(
    '%s is public',
    async (address) => {
      expect(await isRefused(address)).toBe(false)
    },
  )

  it.each(['127.0.0.1', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.0.1', '100.64.0.1', '::1', 'fd12::1'])(
    '%s is private',
    async (address) => {
      expect([await isRefused(address), await isRefused(address, true)]).toEqual([true, false])
    },
  )

  it.each([
    ...['0.0.0.0', '169.254.169.254', '100.100.100.200', '168.63.129.16', '224.0.0.1', '255.255.255.255', '192.0.2.1'],
    ...['::', 'fe80::1', 'fe80::1%eth0', 'ff02::1', 'fd00:ec2::254', '::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe'],
    ...['2002:7f00:1::', '2001:db8::1', 'not-an-address'],
  ])('%s is never a receiver', async (address) => {
    expect([await isRefused(address), await isRefused(address, true)]).toEqual([true, true])
  })

  it.each(['2130706433', '0x7f.1', '127.1', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]'])(
    'loopback written as %s is loopback',
    async (host) => {
      const { hostname } = new URL(`https://${host}/`)
      await expect(resolveAllowed(hostname, rules)).rejects.toMatchObject({ reason: 'address-refused' })
    },
  )

  it('a name without addresses can be asked for again', async () => {
    await expect(resolveAllowed('x.test', rules, async () => [])).rejects.toMatchObject({
      code: 'ERR_HOOK_UNAVAILABLE',
      message: 'Cannot call the webhook at "x.test": it has no address; try again when the name resolves',
    })
    const lost = async () => Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' }))
    await expect(resolveAllowed('x.test', rules, lost)).rejects.toMatchObject({
      code: 'ERR_HOOK_UNAVAILABLE',
      message: 'Cannot call the webhook at "x.test": ENOTFOUND; try again when the name resolves',
    })
  })

  it('are the system’s, where nobody says otherwise', async () => {
    await expect(resolveAllowed('localhost', rules)).rejects.toMatchObject({ reason: 'address-refused' })
    const { address } = await resolveAllowed('localhost', { ...rules, allowPrivate: true })
    expect(['127.0.0.1', '::1']).toContain(address)
  })
})

describe.skipIf(!existsSync(OPENSSL))('webhooks over TLS (needs openssl)', () => {
  let folder: string
  let tls: { key: string; cert: string }
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'rowhouse-tls-'))
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const names = ['-subj', '/CN=hooks.test', '-addext', 'subjectAltName=DNS:hooks.test']
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    execFileSync(OPENSSL, ['req', '-x509', ...curve, ...names, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    tls = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('reach a receiver by its name at the address that was checked', async () => {
    const receiver = await receive(respond(200), { tls })
    const url = `https://hooks.test:${receiver.port}/`
    await stepTo(0, { url, ca: tls.cert, resolve: async () => ['127.0.0.1'] }).do(context())
    expect(receiver.received[0]?.headers.host).toBe(`hooks.test:${receiver.port}`)
  })

  it.each<[string, string, boolean, string]>([
    ['an unknown authority', 'hooks.test', false, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['another name', 'other.test', true, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('refuse a certificate of %s', async (_, host, known, code) => {
    const receiver = await receive(respond(200), { tls })
    const options = { url: `https://${host}:${receiver.port}/`, resolve: async () => ['127.0.0.1'] }
    const step = stepTo(0, known ? { ...options, ca: tls.cert } : options)
    await expect(step.do(context())).rejects.toMatchObject({
      code: 'ERR_HOOK_UNTRUSTED',
      reason: 'certificate',
      message: `Cannot trust the webhook's receiver "${host}:${receiver.port}": ${code}; renew its certificate, or name its authority with "ca"`,
    })
    expect(receiver.received).toHaveLength(0)
  })
})

/** What a sender without pinning does: checks one answer of the resolver, then connects to the next one. */
async function postAfterCheck(url: string, resolve: () => Promise<string[]>): Promise<void> {
  await resolve()
  await new Promise((done, fail) => {
    const sent = request(url, {
      method: 'POST',
      agent: false,
      lookup: (_host, options, answer) => {
        void resolve().then(([address = '']) =>
          options.all ? answer(null, [{ address, family: 4 }]) : answer(null, address, 4),
        )
      },
    })
    sent.on('response', (response) => response.resume().on('end', done)).on('error', fail)
    sent.end('{}')
  })
}
