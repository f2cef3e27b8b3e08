import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** One protocol message from the application: its type byte and how many came in the same write burst. */
export interface WireProxy {
  readonly url: string
  /** Type bytes of the messages sent by the application since the last `reset()`, e.g. `BEBEBDES`. */
  sent(): string
  /** How often the application had to wait: changes of direction from asking to being answered. */
  roundTrips(): number
  reset(): void
  /** Stops forwarding in both directions without closing: a network that went dark. */
  freeze(): void
  thaw(): void
  /** Cuts all connections. */
  cut(): void
  close(): Promise<void>
}

/** Starts a loopback proxy in front of a database that counts protocol messages and can fail like a network. */
export async function startProxy(targetUrl: string): Promise<WireProxy> {
  const target = new URL(targetUrl)
  const sockets = new Set<Socket>()
  let types = ''
  let trips = 0
  let asking = false
  let frozen = false

  const server = createServer((client) => {
    const upstream = connect(Number(target.port || 5432), target.hostname)
    let started = false
    let rest = Buffer.alloc(0)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (chunk) => {
      if (frozen) return
      asking = true
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 5) {
        // The startup message has no type byte.
        const length = started ? rest.readInt32BE(1) + 1 : rest.readInt32BE(0)
        if (rest.length < length) break
        if (started) types += String.fromCharCode(rest[0] ?? 0)
        started = true
        rest = rest.subarray(length)
      }
      upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      if (frozen) return
      if (asking) trips++
      asking = false
      client.write(chunk)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(targetUrl)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    sent: () => types,
    roundTrips: () => trips,
    reset: () => {
      types = ''
      trips = 0
      asking = false
    },
    freeze: () => {
      frozen = true
    },
    thaw: () => {
      frozen = false
    },
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
