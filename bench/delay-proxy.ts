import { fork } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

const CHILD = 'ROWHOUSE_DELAY_PROXY'

interface Settings {
  readonly port: number
  readonly host: string
  readonly delayMs: number
}

/** Starts a proxy in a process of its own that hands each answer over `delayMs` later: a network round trip more. */
export async function startDelayProxy(
  targetUrl: string,
  delayMs: number,
): Promise<{ url: string; stop(): Promise<void> }> {
  const target = new URL(targetUrl)
  const settings: Settings = { port: Number(target.port), host: target.hostname, delayMs }
  const env = { ...process.env, [CHILD]: JSON.stringify(settings) }
  const child = fork(fileURLToPath(import.meta.url), [], { env, execArgv: process.execArgv })
  const [port] = (await once(child, 'message')) as [number]
  target.hostname = '127.0.0.1'
  target.port = String(port)
  return {
    url: target.href,
    stop: async () => {
      child.kill()
      await once(child, 'exit')
    },
  }
}

function serve({ port, host, delayMs }: Settings): void {
  const server = createServer((client) => {
    const upstream = connect(port, host)
    client.setNoDelay(true)
    upstream.setNoDelay(true)
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy())
    client.on('data', (chunk) => upstream.write(chunk))
    upstream.on('data', (chunk) => setTimeout(() => client.write(chunk), delayMs))
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
  process.once('disconnect', () => process.exit())
}

const given = process.env[CHILD]
if (given !== undefined) serve(JSON.parse(given) as Settings)
