import { type AddressInfo, connect, type Server } from 'node:net'

export interface RawAnswer {
  /** 0 when the connection was closed without an answer. */
  readonly status: number
  /** Status line and headers as sent, sorted, without `Date`: what has to be equal for two answers to be equal. */
  readonly head: string
  readonly body: string
}

/** Sends bytes that no HTTP client would send, and reads until the server closes. */
export function sendRaw(port: number, bytes: Buffer | string): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer and no end within 10 s')))
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? undefined : reject(error)))
    socket.on('close', () => resolve(parse(Buffer.concat(chunks).toString('latin1'))))
  })
}

function parse(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...headers] = text.slice(0, Math.max(end, 0)).split('\r\n')
  const kept = headers.filter((line) => !/^date:/i.test(line)).sort()
  return {
    status: Number(statusLine.split(' ')[1] ?? 0),
    head: [statusLine, ...kept].join('\n'),
    body: end === -1 ? '' : text.slice(end + 4),
  }
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}
