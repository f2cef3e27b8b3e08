import { request } from 'node:http'

export interface LoopbackAnswer {
  readonly status: number
  readonly headers: string
  readonly body: string
}

/** Longer answers are cut: the laboratory shows their beginning. */
const MAX_BODY = 200_000

const TIMEOUT_MS = 5_000

/**
 * Sends a request to this very server over loopback, with headers exactly as given.
 *
 * @param headers  name, value, name, value; duplicates are sent as duplicates
 */
export function loopbackRequest(port: number, path: string, headers: readonly string[]): Promise<LoopbackAnswer> {
  return new Promise((resolve, reject) => {
    // An array of headers is sent as it is; with an object, Node would allow one Host only.
    const sent = [...headers, 'Connection', 'close'] as unknown as Record<string, string>
    const outgoing = request({ host: '127.0.0.1', port, path, headers: sent, timeout: TIMEOUT_MS }, (answer) => {
      let body = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => {
        if (body.length < MAX_BODY) body += part
      })
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, headers: comparableHeaders(answer.rawHeaders), body })
      })
      answer.on('error', reject)
    })
    outgoing.on('timeout', () =>
      outgoing.destroy(new Error(`Cannot finish the request: no answer in ${TIMEOUT_MS} ms`)),
    )
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** Two refusals are the same when everything but the clock is. */
function comparableHeaders(raw: readonly string[]): string {
  const pairs: string[] = []
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]?.toLowerCase()
    if (name !== 'date') pairs.push(`${name}: ${raw[index + 1]}`)
  }
  return pairs.sort().join('\n')
}
