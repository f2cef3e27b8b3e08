import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { ConfigError } from 'rowhouse'

type Fetch = Parameters<typeof createAdaptorServer>[0]['fetch']

export interface Door {
  readonly port: number
  /** Stops listening and cuts what is still open. */
  readonly close: () => Promise<void>
}

/**
 * Serves on loopback.
 *
 * @param port  0 picks a free one
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the port is taken
 */
export async function listen(port: number, fetch: Fetch): Promise<Door> {
  const server = createAdaptorServer({ fetch }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, port)))
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function explain(error: NodeJS.ErrnoException, port: number): Error {
  if (error.code !== 'EADDRINUSE') return error
  const message = `Cannot listen on port ${port}: another program uses it; stop that one or choose another port`
  return new ConfigError('ERR_CONFIG_INVALID', message, { cause: error })
}
