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
}

/** A visitor at one host: keeps the sign-in cookie, sends forms as a browser does. */
export class Browser {
  readonly #port: number
  readonly host: string
  cookie: string | undefined

  /** @param name  slug of a tenant, or `localhost` for the landing page */
  constructor(port: number, name: string) {
    this.#port = port
    this.host = `${name === 'localhost' ? name : `${name}.localhost`}:${port}`
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.#send('GET', path, { headers })
  }

  post(path: string, sent: Sent): Promise<Answer> {
    return this.#send('POST', path, sent)
  }

  async json<T>(path: string): Promise<T> {
    const { status, body } = await this.get(path)
    if (status !== 200) throw new Error(`GET ${path} was answered ${status}: ${body}`)
    return JSON.parse(body) as T
  }

  /** Signs in as the person whose button says `post`, e.g. `Sharjah manager`. */
  async signInAs(post: string): Promise<void> {
    const { body } = await this.get('/sign-in')
    const person = new RegExp(`value="([0-9a-f-]{36})">${post}`).exec(body)?.[1]
    if (person === undefined) throw new Error(`There is no "${post}" to sign in as`)
    const { headers } = await this.post('/sign-in', { form: { person } })
    this.cookie = String(headers['set-cookie']).split(';')[0]
  }

  #send(method: string, path: string, { headers = {}, form, json }: Sent): Promise<Answer> {
    const type = form !== undefined ? 'application/x-www-form-urlencoded' : 'application/json'
    const body = form !== undefined ? new URLSearchParams(form).toString() : JSON.stringify(json)
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
