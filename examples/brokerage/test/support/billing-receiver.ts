import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { Secret } from 'rowhouse'
import { verifyWebhook } from 'rowhouse-server'

/** A billing system: takes signed messages, and answers what the test tells it to. */
export interface BillingReceiver {
  readonly url: string
  readonly secret: Secret<string>
  /** Type and slug of each message whose signature was right, e.g. `broker.created acme`. */
  readonly messages: readonly string[]
  /** Status of the next answers. */
  answer: number
  close(): Promise<void>
}

export async function startBillingReceiver(): Promise<BillingReceiver> {
  const secret = new Secret(`whsec_${randomBytes(32).toString('base64')}`)
  const messages: string[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString()
    verifyWebhook(request.headers, body, [secret])
    const { type, data } = JSON.parse(body) as { type: string; data: { tenant: { slug: string } } }
    messages.push(`${type} ${data.tenant.slug}`)
    response.writeHead(type === 'broker.created' ? receiver.answer : 200).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const receiver: BillingReceiver = {
    url: `http://127.0.0.1:${port}/hooks`,
    secret,
    messages,
    answer: 200,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return receiver
}
