import { connect, createServer, type Socket } from 'node:net'

/** A network between a client and a server that can be cut, or swallow everything, and heal. */
export interface FaultyNetwork {
  readonly port: number
  /** Resets what is open and takes nothing new in. */
  cut(): void
  /** Carries nothing in either direction and says nothing of it, for connections that are open and for new ones. */
  swallow(): void
  /** Carries again; what waited goes on. */
  heal(): void
  close(): Promise<void>
}

/** Listens on loopback and carries bytes to a port there. */
export async function openFaultyNetwork(to: number): Promise<FaultyNetwork> {
  let state: 'well' | 'cut' | 'swallowing' = 'well'
  const pairs = new Set<readonly [Socket, Socket]>()
  const server = createServer((near) => {
    if (state === 'cut') {
      near.resetAndDestroy()
      return
    }
    const far = connect(to, '127.0.0.1')
    const pair = [near, far] as const
    pairs.add(pair)
    for (const [one, other] of [pair, [far, near] as const]) {
      one.on('data', (bytes) => other.write(bytes))
      // A swallowed connection is not heard to end, either: only whoever still waits at the other side is told later.
      one.on('end', () => state === 'well' && other.end())
      one.on('error', () => {})
      one.on('close', () => {
        if (state !== 'swallowing') other.destroy()
        if (near.destroyed && far.destroyed) pairs.delete(pair)
      })
      if (state === 'swallowing') one.pause()
    }
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const each = (fn: (socket: Socket) => void) => {
    for (const pair of pairs) pair.forEach(fn)
  }
  return {
    port: (server.address() as { port: number }).port,
    cut: () => {
      state = 'cut'
      each((socket) => socket.resetAndDestroy())
    },
    swallow: () => {
      state = 'swallowing'
      each((socket) => socket.pause())
    },
    heal: () => {
      state = 'well'
      for (const [near, far] of pairs) {
        if (near.destroyed) far.destroy()
        else if (far.destroyed) near.destroy()
        near.resume()
        far.resume()
      }
    },
    close: async () => {
      each((socket) => socket.destroy())
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
