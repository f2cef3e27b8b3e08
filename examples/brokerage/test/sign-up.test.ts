import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { orderOf, PASSWORD, PLACED, startTestPlatform, type TestPlatform } from './support/test-platform.ts'

let platform: TestPlatform
beforeAll(async () => {
  platform = await startTestPlatform()
})
afterAll(() => platform.stop())
beforeEach(() => {
  platform.billing.answer = 200
})

const find = (slug: string) => platform.brokerage.plane.tenants.find(slug)
const orphans = () => platform.brokerage.plane.findOrphans()

describe.each(PLACED)('a sign-up for plan %s', (plan, model) => {
  const slug = `new-${model}`

  test('answers when somebody can sign in, and billing knows', async () => {
    // Somebody who tried the address too early must not make it unknown for longer.
    expect((await platform.at(slug).get('/sign-in')).status).toBe(404)
    const { status, body } = await platform.signUp(orderOf(slug, plan))
    expect(status, body).toBe(201)
    const { port } = new URL(JSON.parse(body).url)
    const url = `http://${slug}.localhost:${port}`
    expect(JSON.parse(body)).toEqual({ broker: slug, url, signIn: `${url}/sign-in` })
    expect(await find(slug)).toMatchObject({ state: 'active', plan, placement: { model } })
    expect(platform.billing.messages).toContain(`broker.created ${slug}`)

    const letter = platform.letters.findLast(({ broker }) => broker === slug)
    expect(letter).toMatchObject({ to: `first@${slug}.example`, name: 'First Person' })
    const token = new URL(letter?.url ?? '').searchParams.get('token') ?? ''
    const browser = platform.at(slug)
    expect((await browser.get(`/welcome?token=${token}`)).body).toContain('Welcome, First Person')
    expect((await browser.post('/welcome', { form: { token, password: PASSWORD } })).status).toBe(303)
    const me = await browser.json('/api/me')
    expect(me).toMatchObject({ broker: slug, person: { name: 'First Person', role: 'administrator' } })
  })

  test('sent twice with one key, one after the other and at once, makes one broker', async () => {
    const twice = `twice-${model}`
    const made = await Promise.all([1, 2, 3].map(() => platform.signUp(orderOf(twice, plan))))
    made.push(await platform.signUp(orderOf(twice, plan)))
    expect(made.map(({ status }) => status)).toEqual([201, 201, 201, 201])
    expect(new Set(made.map(({ body }) => body)).size).toBe(1)
    expect(platform.billing.messages.filter((message) => message === `broker.created ${twice}`)).toHaveLength(1)
    expect(await orphans()).toEqual([])
  })

  test('that billing refuses leaves nothing, and may be made again under the same key', async () => {
    const refused = `refused-${model}`
    platform.billing.answer = 422
    const { status, body } = await platform.signUp(orderOf(refused, plan))
    expect(status).toBe(502)
    expect(JSON.parse(body)).toMatchObject({
      code: 'ERR_HOOK_REFUSED',
      detail: 'A system we depend on refused the sign-up; nothing was kept',
    })
    expect(await find(refused)).toBeUndefined()
    expect(await orphans()).toEqual([])
    expect((await platform.at(`${refused}.cover.example`).get('/sign-in')).status).toBe(404)
    expect(platform.billing.messages.at(-1)).toBe(`broker.discarded ${refused}`)
    platform.billing.answer = 200
    expect((await platform.signUp(orderOf(refused, plan))).status).toBe(201)
    expect(await orphans()).toEqual([])
  })
})

test('a step that fails on somebody else’s host takes nothing from them', async () => {
  const { tenants } = platform.brokerage.plane
  await platform.signUp(orderOf('squatter'))
  await tenants.addDomain('squatter', 'wanted.cover.example')
  const { status } = await platform.signUp(orderOf('wanted', 'enterprise'))
  expect(status).toBe(500)
  expect(await find('wanted')).toBeUndefined()
  expect(await tenants.domains('squatter')).toEqual(['squatter.cover.example', 'wanted.cover.example'])
  expect(await orphans()).toEqual([])
})

describe('a sign-up is refused', () => {
  test('for a short name somebody has', async () => {
    expect((await platform.signUp(orderOf('taken'))).status).toBe(201)
    const { status, body } = await platform.signUp(orderOf('taken', 'enterprise'), 'another-key')
    expect(status).toBe(409)
    expect(JSON.parse(body)).toMatchObject({
      code: 'ERR_TENANT_SLUG_TAKEN',
      detail: 'This short name is taken: choose another one',
    })
    expect(await find('taken')).toMatchObject({ plan: 'starter' })
    expect(await orphans()).toEqual([])
  })

  test('with the key of another sign-up', async () => {
    expect((await platform.signUp(orderOf('first-of-key'), 'one-key-for-two')).status).toBe(201)
    const { status, body } = await platform.signUp(orderOf('second-of-key'), 'one-key-for-two')
    expect(status).toBe(409)
    expect(JSON.parse(body)).toMatchObject({
      code: 'ERR_IDEMPOTENCY_KEY_REUSED',
      detail: 'This sign-up cannot be made under this idempotency key: use a new one',
    })
    expect(await find('second-of-key')).toBeUndefined()
  })

  test.each([
    ['without a key', orderOf('no-key'), '', '"idempotency-key" must be 8 to 100 printable ASCII characters'],
    ['for a reserved name', orderOf('www'), 'a-new-key', '"slug" cannot be used: this name is reserved'],
    ['for a name in other letters', orderOf('аcme'), 'a-new-key', '"slug" cannot be used: wanted 2 to 63'],
    ['for a plan there is not', orderOf('some', 'gold'), 'a-new-key', '"plan" must be one of starter'],
    ['for no address', { ...orderOf('some'), email: 'x' }, 'a-new-key', '"email" must be an e-mail address'],
    ['for nothing', {}, 'a-new-key', '"name" must be text of 1 to 200 characters'],
  ])('%s', async (_, fields, key, message) => {
    const { status, body } = await platform.signUp(fields, key)
    expect(status, body).toBe(400)
    expect(JSON.parse(body)).toMatchObject({ code: 'ERR_INPUT_INVALID', detail: expect.stringContaining(message) })
  })

  test('when it is too large, no JSON, or a form of another site', async () => {
    const post = (json: unknown, headers = {}) => platform.at('localhost').post('/sign-up', { json, headers })
    expect((await post({ ...orderOf('large'), name: 'x'.repeat(20_000) })).status).toBe(413)
    expect((await post([])).status).toBe(400)
    const form = { ...orderOf('forged'), idempotencyKey: 'some-good-key' }
    const forged = { form, headers: { origin: 'http://evil.example' } }
    expect((await platform.at('localhost').post('/sign-up', forged)).status).toBe(403)
    expect(await find('forged')).toBeUndefined()
  })
})

test('the form signs up too, and says what is wrong where it stands', async () => {
  const browser = platform.at('localhost')
  const [, idempotencyKey = ''] = /name="idempotencyKey" value="([^"]+)"/.exec((await browser.get('/')).body) ?? []
  const wrong = await browser.post('/sign-up', { form: { ...orderOf('www'), idempotencyKey } })
  expect([wrong.status, wrong.body]).toEqual([400, expect.stringContaining('this name is reserved for the platform')])
  const right = await browser.post('/sign-up', { form: { ...orderOf('by-form'), idempotencyKey } })
  expect([right.status, right.body]).toEqual([201, expect.stringContaining('Brokers of by-form is ready')])
})

describe('an invitation', () => {
  test('is good for once, at its own broker, for a password that is long enough', async () => {
    await platform.signUp(orderOf('host-one'))
    await platform.signUp(orderOf('host-two'))
    const token = new URL(platform.letters.at(-2)?.url ?? '').searchParams.get('token') ?? ''
    const choose = (slug: string, password: string) => platform.at(slug).post('/welcome', { form: { token, password } })
    expect((await choose('host-two', PASSWORD)).status).toBe(410)
    expect((await choose('host-one', 'short')).status).toBe(400)
    expect((await choose('host-one', PASSWORD)).status).toBe(303)
    expect((await choose('host-one', 'another long password')).status).toBe(410)
    // Nobody is sent a letter who has a password already.
    const letters = platform.letters.length
    expect((await platform.signUp(orderOf('host-one'))).status).toBe(201)
    expect(platform.letters).toHaveLength(letters)
  })

  test('leads to an account that needs its password', async () => {
    const signIn = async (email: string, password: string) =>
      (await platform.at('host-one').post('/sign-in', { form: { email, password } })).status
    expect(await signIn('First@Host-One.example', PASSWORD)).toBe(303)
    expect(await signIn('first@host-one.example', `${PASSWORD}!`)).toBe(401)
    expect(await signIn('first@host-two.example', PASSWORD)).toBe(401)
    expect(await signIn('nobody@host-one.example', PASSWORD)).toBe(401)
  })
})
