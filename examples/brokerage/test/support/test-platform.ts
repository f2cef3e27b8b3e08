import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { urlOfDatabase } from 'rowhouse/install'
import { type Brokerage, openBrokerage } from 'rowhouse-example-brokerage'
import { type DemoSecrets, loadDemoSecrets } from '../../src/demo/demo-secrets.ts'
import { type DemoServers, startDemoServers } from '../../src/demo/demo-servers.ts'
import { listen } from '../../src/demo/listen.ts'
import type { InvitationLetter } from '../../src/platform/platform-app.tsx'
import { type BillingReceiver, startBillingReceiver } from './billing-receiver.ts'
import { type Answer, Browser } from './browser.ts'

/** The whole platform on two servers of its own: orphans are looked for on all of a server. */
export interface TestPlatform {
  readonly brokerage: Brokerage
  readonly servers: DemoServers
  readonly secrets: DemoSecrets
  readonly billing: BillingReceiver
  readonly letters: readonly InvitationLetter[]
  /** TXT records the world has. */
  readonly txt: Map<string, string>
  /** Somebody at a host: a slug, `localhost` for the platform, or a whole name. */
  at(name: string): Browser
  signUp(fields: Readonly<Record<string, unknown>>, key?: string): Promise<Answer>
  /** Signs a broker up, chooses the password and returns the administrator, signed in. */
  makeBroker(slug: string, plan: string): Promise<Browser>
  /** Runs `fn` as the superuser of a server, in a database. */
  asSuperuser<T>(server: string, database: string, fn: (client: pg.Client) => Promise<T>): Promise<T>
  stop(): Promise<void>
}

export const PASSWORD = 'a long enough password'

/** A plan, and the model the rules give it. */
export const PLACED = [
  ['starter', 'pooled'],
  ['professional', 'schema'],
  ['enterprise', 'database'],
] as const

export function orderOf(slug: string, plan = 'starter') {
  return { slug, name: `Brokers of ${slug}`, plan, person: 'First Person', email: `First@${slug}.example` }
}

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

export async function startTestPlatform(): Promise<TestPlatform> {
  const dataDir = await mkdtemp(join(tmpdir(), 'brokerage-'))
  const secrets = await loadDemoSecrets(dataDir)
  const [servers, billing] = await Promise.all([startDemoServers(dataDir, secrets), startBillingReceiver()])
  const letters: InvitationLetter[] = []
  const txt = new Map<string, string>()
  let brokerage: Brokerage | undefined
  const door = await listen(0, (request, env) => brokerage?.fetch(request, env) ?? new Response('', { status: 503 }))
  const opened = await openBrokerage({
    adminUrl: servers.adminUrl,
    appUrl: servers.appUrl,
    rootKey: secrets.rootKey,
    secretKey: Buffer.from(secrets.secretKey, 'base64'),
    servers: [servers.further],
    base: 'localhost',
    clientBase: 'cover.example',
    billing: { url: billing.url, secret: billing.secret, allowPrivate: true },
    urlOf: (host) => `http://${host}:${door.port}`,
    sendInvitation: async (letter) => {
      letters.push(letter)
    },
    lookupTxt: async (name) => {
      const value = txt.get(name)
      if (value === undefined) throw new Error('ENOTFOUND')
      return [[value]]
    },
    log: SILENT,
  })
  brokerage = opened
  const at = (name: string) =>
    new Browser(door.port, name === 'localhost' || name.includes('.') ? name : `${name}.localhost`)
  const signUp = (fields: Readonly<Record<string, unknown>>, key = `key-of-${fields.slug}`) =>
    at('localhost').post('/sign-up', { json: fields, headers: { 'idempotency-key': key } })
  return {
    brokerage: opened,
    servers,
    secrets,
    billing,
    letters,
    txt,
    at,
    signUp,
    makeBroker: async (slug, plan) => {
      const { status, body } = await signUp(orderOf(slug, plan))
      if (status !== 201) throw new Error(`Cannot sign up "${slug}": ${body}`)
      const letter = letters.findLast(({ broker }) => broker === slug)
      const token = new URL(letter?.url ?? '').searchParams.get('token') ?? ''
      const browser = at(slug)
      await browser.post('/welcome', { form: { token, password: PASSWORD } })
      return browser
    },
    asSuperuser: async (server, database, fn) => {
      const url = server === 'main' ? servers.adminUrl : servers.secondAdminUrl
      const client = new pg.Client({ connectionString: urlOfDatabase(url, database) })
      await client.connect()
      try {
        return await fn(client)
      } finally {
        await client.end()
      }
    },
    stop: async () => {
      await door.close()
      await opened.close()
      await Promise.all([servers.stop(), billing.close()])
      await rm(dataDir, { recursive: true })
    },
  }
}
