import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** Starts a proxy in a thread of its own that hands each answer over `delayMs` later: one network round trip more. */
export async function startDelayProxy(
  targetUrl: string,
  delayMs: number,
): Promise<{ url: string; stop(): Promise<void> }> {
  const target = new URL(targetUrl)
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { port: Number(target.port), host: target.hostname, delayMs },
    execArgv: process.execArgv,
  })
  const [port] = (await once(worker, 'message')) as [number]
  target.hostname = '127.0.0.1'
  target.port = String(port)
  return { url: target.href, stop: async () => void (await worker.terminate()) }
}

function serve({ port, host, delayMs }: { port: number; host: string; delayMs: number }): void {
  const server = createServer((client) => {
    const upstream = connect(port, host)
    client.setNoDelay(true)
    upstream.setNoDelay(true)
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy())
    client.on('data', (chunk) => upstream.write(chunk))
    upstream.on('data', (chunk) => setTimeout(() => client.write(chunk), delayMs))
  })
  server.listen(0, '127.0.0.1', () => parentPort?.postMessage((server.address() as AddressInfo).port))
}

if (!isMainThread && workerData?.delayMs !== undefined) serve(workerData)
