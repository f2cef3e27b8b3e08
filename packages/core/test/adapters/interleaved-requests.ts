import { Agent, request } from 'node:http'

export const TENANTS = ['acme', 'globex', 'initech', 'umbrella']
export const REQUESTS = 600

/** Handlers meet in the middle in groups of this size; it divides REQUESTS and is below SOCKETS, so that all go on. */
export const MEETING = 20
const SOCKETS = 40

export interface Asked {
  readonly tenant: string
  readonly status: number
  readonly body: { readonly before?: string; readonly after?: string; readonly body?: { readonly tenant: string } }
}

function ask(port: number, agent: Agent, tenant: string, method: 'GET' | 'POST', path: string): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${tenant}.example.com`, 'content-type': 'application/json' }
    const sent = request({ agent, host: '127.0.0.1', port, path, method, headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => {
        text += part
      })
      answer.on('end', () => resolve({ tenant, status: answer.statusCode ?? 0, body: JSON.parse(text) }))
      answer.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(method === 'POST' ? JSON.stringify({ tenant }) : undefined)
  })
}

/** Sends all requests over few connections that are used again; the tenants take turns. */
export async function askAll(port: number, method: 'GET' | 'POST', path: string): Promise<Asked[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS })
  const tenants = Array.from({ length: REQUESTS }, (_, n) => TENANTS[n % TENANTS.length] ?? '')
  const answers = await Promise.all(tenants.map((tenant) => ask(port, agent, tenant, method, path)))
  agent.destroy()
  return answers
}

/** Answers that were given as another tenant at any point. */
export const wrong = (answers: readonly Asked[]) =>
  answers.filter(({ tenant, body }) => body.before !== tenant || body.after !== tenant)
