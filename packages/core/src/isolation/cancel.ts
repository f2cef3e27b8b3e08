import pg from 'pg'
import type { ClientInternals } from '../postgres/pg-internals.ts'

interface CancelConnection {
  readonly stream: { destroy(): void }
  connect(port: number, host: string): void
  connect(path: string): void
  requestSsl(): void
  cancel(processId: number, secretKey: number): void
  once(event: 'connect' | 'sslconnect' | 'end' | 'error', listener: () => void): void
}

const Connection = (pg as unknown as { Connection: new (config: object) => CancelConnection }).Connection

/** A cancel request that is not accepted by then will not be; the caller closes the connection instead. */
const CANCEL_TIMEOUT_MS = 2_000

/**
 * Asks the server to stop what a connection is running, over a second connection as the protocol wants it.
 *
 * Resolves when the server has closed that connection: the signal is delivered by then. The caller closes the first
 * connection as well, so that a late signal can never hit the next tenant's statement.
 */
export function cancelRunning(client: pg.Client): Promise<void> {
  const { processID, secretKey } = client as unknown as ClientInternals
  const { host, port, ssl } = client as unknown as { host: string; port: number; ssl: object | boolean }
  return new Promise((resolve) => {
    const connection = new Connection({ ssl })
    const timer = setTimeout(() => connection.stream.destroy(), CANCEL_TIMEOUT_MS)
    const send = () => connection.cancel(processID ?? 0, secretKey ?? 0)
    connection.once('connect', () => (ssl ? connection.requestSsl() : send()))
    connection.once('sslconnect', send)
    connection.once('error', () => connection.stream.destroy())
    connection.once('end', () => {
      clearTimeout(timer)
      resolve()
    })
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, host)
  })
}
