import { connect } from 'node:net'
import { UnavailableError } from 'rowhouse'

export interface DnsServer {
  /** Host name or address. */
  readonly host: string
  readonly port: number
  readonly timeoutMs: number
}

/**
 * Sends one message over TCP and returns the response, both without their length in front.
 *
 * @throws {UnavailableError} `ERR_HOOK_UNAVAILABLE` when the server cannot be reached or hangs up, `ERR_TIMEOUT` when it does
 *   not answer in time; the message may have been carried out all the same
 * @throws the reason of `signal` when it aborts
 */
export function exchangeDns(server: DnsServer, message: Buffer, signal: AbortSignal | undefined): Promise<Buffer> {
  const { host, port, timeoutMs } = server
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const socket = connect({ host, port })
    const timer = setTimeout(() => settle(() => reject(timedOut(server))), timeoutMs)
    const onAbort = () => settle(() => reject(signal?.reason))
    signal?.addEventListener('abort', onAbort, { once: true })
    let received = Buffer.alloc(0)

    function settle(finish: () => void): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      socket.destroy()
      finish()
    }

    socket.on('error', (cause) => settle(() => reject(unreachable(server, cause))))
    socket.on('close', () => settle(() => reject(unreachable(server, undefined))))
    socket.on('data', (chunk: Buffer) => {
      // Bounded by the length in front: at most 65 535 bytes, and what is behind them is not read.
      received = Buffer.concat([received, chunk])
      if (received.length < 2) return
      const end = 2 + received.readUInt16BE(0)
      if (received.length >= end) settle(() => resolve(received.subarray(2, end)))
    })
    socket.end(frame(message))
  })
}

function frame(message: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}

function unreachable({ host, port }: DnsServer, cause: Error | undefined): UnavailableError {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? 'it hung up'
  const message = `Cannot reach the DNS server ${host}:${port}: ${code}; try again when it answers`
  return new UnavailableError('ERR_HOOK_UNAVAILABLE', message, { cause })
}

function timedOut({ host, port, timeoutMs }: DnsServer): UnavailableError {
  const message = `Cannot wait for the DNS server ${host}:${port}: no answer within ${timeoutMs} ms; try again, the update may have been made`
  return new UnavailableError('ERR_TIMEOUT', message)
}
