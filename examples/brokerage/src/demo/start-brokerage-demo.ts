import { join } from 'node:path'
import pino from 'pino'
import { isoDate } from '../domain/iso-date.ts'
import { type Brokerage, openBrokerage } from '../platform/open-brokerage.ts'
import type { InvitationLetter } from '../platform/platform-app.tsx'
import { seedBroker } from '../seed/seed-broker.ts'
import { DEMO_BROKERS } from './demo-brokers.ts'
import { loadDemoSecrets } from './demo-secrets.ts'
import { startDemoServers } from './demo-servers.ts'
import { listen } from './listen.ts'

export interface BrokerageDemoOptions {
  /** TCP port on 127.0.0.1; 0 picks a free one. @defaultValue 4100 */
  readonly port?: number
  /** Folder that keeps the databases, the secrets and the log. @defaultValue '.rowhouse/brokerage' */
  readonly dataDir?: string
  /** Called with one line for each thing that was done. */
  readonly onProgress?: (line: string) => void
}

export interface BrokerageDemo {
  /** The sign-up page, then each broker. */
  readonly urls: readonly string[]
  /** Ways in for people who have no password yet. */
  readonly letters: readonly InvitationLetter[]
  /** Stops serving and ends the servers. Safe to call twice. */
  stop(): Promise<void>
}

const BASE = 'localhost'

/**
 * Starts the brokerage demonstration: two PostgreSQL servers, the platform, and three brokers who sign up over HTTP as
 * anybody would, one in shared tables, one in a schema, one in a database of its own; each with a book of business.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the port is taken or the secrets do not fit the databases
 */
export async function startBrokerageDemo(options: BrokerageDemoOptions = {}): Promise<BrokerageDemo> {
  const { dataDir = join('.rowhouse', 'brokerage'), port = 4100, onProgress = () => {} } = options
  const secrets = await loadDemoSecrets(dataDir)
  const closers: (() => Promise<unknown>)[] = []
  const stop = async () => {
    while (closers.length > 0) await closers.pop()?.()
  }
  try {
    const servers = await startDemoServers(dataDir, secrets)
    closers.push(() => servers.stop())
    onProgress(`PostgreSQL ${servers.versions.join(' and ')}`)
    const letters: InvitationLetter[] = []
    let brokerage: Brokerage | undefined
    const door = await listen(port, (request, env) => brokerage?.fetch(request, env) ?? pleaseWait())
    closers.push(door.close)
    brokerage = await openBrokerage({
      adminUrl: servers.adminUrl,
      appUrl: servers.appUrl,
      rootKey: secrets.rootKey,
      secretKey: Buffer.from(secrets.secretKey, 'base64'),
      servers: [servers.further],
      base: BASE,
      clientBase: 'cover.example',
      urlOf: (host) => `http://${host}:${door.port}`,
      // There is no mail here: whoever started the demonstration gets the letters.
      sendInvitation: async (letter) => {
        letters.push(letter)
      },
      log: pino({ name: 'brokerage' }, pino.destination({ dest: join(dataDir, 'brokerage.log'), sync: true })),
    })
    closers.push(brokerage.close)
    for (const broker of DEMO_BROKERS) onProgress(await signUp(brokerage, broker))
    const hosts = [BASE, ...DEMO_BROKERS.map(({ slug }) => `${slug}.${BASE}`)]
    return { urls: hosts.map((host) => `http://${host}:${door.port}`), letters, stop }
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
}

/** The same key at every start: the first one makes the broker, later ones find it. */
async function signUp(brokerage: Brokerage, broker: (typeof DEMO_BROKERS)[number]): Promise<string> {
  const { slug, name, plan, currency, clients } = broker
  const startedMs = performance.now()
  const answer = await brokerage.fetch(
    new Request(`http://${BASE}/sign-up`, {
      method: 'POST',
      headers: { host: BASE, 'content-type': 'application/json', 'idempotency-key': `demo-${slug}` },
      body: JSON.stringify({ slug, name, plan, currency, person: 'Office', email: `office@${slug}.example` }),
    }),
  )
  if (answer.status !== 201) throw new Error(`Cannot sign up "${slug}": ${await answer.text()}`)
  const tookMs = performance.now() - startedMs
  const policies = await seedBroker(brokerage.rowhouse, { broker: slug, clients, asOf: isoDate(new Date()) })
  const { placement } = (await brokerage.plane.tenants.find(slug)) ?? {}
  const book = policies === 0 ? 'its book is there' : `${policies} policies imported`
  return `${name}: ${placement?.model} on "${placement?.server}" in ${tookMs.toFixed(0)} ms, ${book}`
}

function pleaseWait(): Response {
  return new Response('Starting, one moment.', { status: 503, headers: { 'retry-after': '2' } })
}
