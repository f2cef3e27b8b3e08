import { connect, createServer, type Socket } from 'node:net'

export interface DnsRelay {
  readonly port: number
  close(): Promise<void>
}

/** What becomes of a response on its way: other bytes, or nothing when the relay hangs up. */
export type Alteration = (response: Buffer, request: Buffer) => Buffer | undefined

/** Stands between a client and a DNS server, as somebody on the path would, and alters what the server answers. */
export async function startRelay(upstreamPort: number, alter: Alteration): Promise<DnsRelay> {
  return listen(async (socket, request) => {
    const response = await ask(upstreamPort, request)
    const altered = alter(response, request)
    if (altered === undefined) socket.destroy()
    else socket.end(framed(altered))
  })
}

/** Accepts connections and never answers. */
export async function startSilentServer(): Promise<DnsRelay> {
  return listen(async () => {})
}

async function listen(answer: (socket: Socket, request: Buffer) => Promise<void>): Promise<DnsRelay> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket.on('error', () => {}))
    void readMessage(socket).then((request) => answer(socket, request))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function ask(port: number, request: Buffer): Promise<Buffer> {
  const socket = connect({ host: '127.0.0.1', port })
  socket.write(framed(request))
  const response = await readMessage(socket)
  socket.destroy()
  return response
}

function readMessage(socket: Socket): Promise<Buffer> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2) return
      const end = 2 + received.readUInt16BE(0)
      if (received.length >= end) resolve(received.subarray(2, end))
    })
  })
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}
