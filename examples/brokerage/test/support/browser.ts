import { request } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

interface Sent {
  readonly headers?: Readonly<Record<string, string>>
  readonly form?: Readonly<Record<string, string>>
  readonly json?: unknown
  readonly csv?: string
}

/** A visitor at one host: keeps the sign-in cookie, sends forms as a browser does. */
export class Browser {
  readonly #port: number
  readonly host: string
  cookie: string | undefined

  /** @param name  host without port */
  constructor(port: number, name: string) {
    this.#port = port
    this.host = `${name}:${port}`
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.#send('GET', path, { headers })
  }

  async post(path: string, sent: Sent): Promise<Answer> {
    const answer = await this.#send('POST', path, sent)
    const cookie = answer.headers['set-cookie']
    if (cookie !== undefined) this.cookie = String(cookie).split(';')[0]
    return answer
  }

  async json<T>(path: string, headers: Readonly<Record<string, string>> = {}): Promise<T> {
    const { status, body } = await this.get(path, headers)
    if (status !== 200) throw new Error(`GET ${path} at ${this.host} was answered ${status}: ${body}`)
    return JSON.parse(body) as T
  }

  #send(method: string, path: string, { headers = {}, form, json, csv }: Sent): Promise<Answer> {
    const [type, body] =
      form !== undefined
        ? ['application/x-www-form-urlencoded', new URLSearchParams(form).toString()]
        : csv !== undefined
          ? ['text/csv', csv]
          : ['application/json', JSON.stringify(json)]
    const all = {
      host: this.host,
      ...(this.cookie === undefined ? {} : { cookie: this.cookie }),
      ...(body === undefined ? {} : { 'content-type': type, origin: `http://${this.host}` }),
      ...headers,
    }
    return new Promise((resolve, reject) => {
      const outgoing = request({ host: '127.0.0.1', port: this.#port, method, path, headers: all }, (answer) => {
        let text = ''
        answer.setEncoding('utf8')
        answer.on('data', (part: string) => {
          text += part
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }))
        answer.on('error', reject)
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }
}
