import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { ConfigError } from 'rowhouse'

export type Fetch = Parameters<typeof createAdaptorServer>[0]['fetch']

/** A listening port whose answers are given later. */
export interface Door {
  readonly port: number
  /** From now on `fetch` answers; before, everybody is told to wait. */
  serve(fetch: Fetch): void
  /** Stops listening and cuts what is still open. Safe to call twice. */
  readonly close: () => Promise<void>
}

/**
 * Listens on loopback.
 *
 * @param port  0 picks a free one
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the port is taken or not allowed
 */
export async function openDoor(port: number): Promise<Door> {
  let answer: Fetch = pleaseWait
  const server = createAdaptorServer({ fetch: (request, env) => answer(request, env) }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, port)))
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    serve: (fetch) => {
      answer = fetch
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function pleaseWait(): Response {
  const body = '<!doctype html><meta http-equiv="refresh" content="2"><title>Starting</title><p>Starting, one moment.'
  return new Response(body, {
    status: 503,
    headers: { 'content-type': 'text/html; charset=utf-8', 'retry-after': '2' },
  })
}

function explain(error: NodeJS.ErrnoException, port: number): Error {
  if (error.code === 'EADDRINUSE') {
    const message = `Cannot listen on port ${port}: another program uses it; stop that one or choose another port`
    return new ConfigError('ERR_CONFIG_INVALID', message, { cause: error })
  }
  if (error.code === 'EACCES') {
    const message = `Cannot listen on port ${port}: this user may not; choose a port above 1023`
    return new ConfigError('ERR_CONFIG_INVALID', message, { cause: error })
  }
  return error
}
