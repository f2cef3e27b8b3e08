import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Receiver {
  readonly port: number
  readonly received: Received[]
  close(): Promise<void>
}

export interface ReceiverOptions {
  readonly host?: string
  readonly port?: number
  readonly tls?: { readonly key: string; readonly cert: string }
}

/** A receiver of webhooks on a real socket of loopback, which answers as `answer` says. */
export async function startReceiver(
  answer: (response: ServerResponse, request: Received, count: number) => void,
  { host = '127.0.0.1', port = 0, tls }: ReceiverOptions = {},
): Promise<Receiver> {
  const received: Received[] = []
  const listener: Parameters<typeof createServer>[1] = async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const entry = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString() }
    received.push(entry)
    answer(response, entry, received.length)
  }
  const server: Server = tls ? createTlsServer(tls, listener) : createServer(listener)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    received,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

export function respond(status: number, headers: Record<string, string> = {}, body = ''): (r: ServerResponse) => void {
  return (response) => {
    response.writeHead(status, headers).end(body)
  }
}
