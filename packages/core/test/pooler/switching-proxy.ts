import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Type byte and length of BackendKeyData as PostgreSQL up to 17 and PgBouncer send it. */
const BACKEND_KEY = Buffer.from([0x4b, 0, 0, 0, 12])

export interface SwitchingProxy {
  readonly port: number
  /** Where connections made from now on lead. Those that stand are cut. */
  lead(port: number): void
  /** Process id told to clients at the start of connections, instead of the true one. */
  announce(pid: number): void
  close(): Promise<void>
}

/** A loopback proxy whose target can be exchanged, and that can tell clients another process id. */
export async function startSwitchingProxy(port: number): Promise<SwitchingProxy> {
  let target = port
  let announced: number | undefined
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (chunk) => upstream.write(chunk))
    upstream.on('data', (chunk) => {
      const at = announced === undefined ? -1 : chunk.indexOf(BACKEND_KEY)
      if (at >= 0) chunk.writeInt32BE(announced ?? 0, at + BACKEND_KEY.length)
      client.write(chunk)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    lead: (next) => {
      target = next
      cut()
    },
    announce: (pid) => {
      announced = pid
    },
    close: async () => {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
