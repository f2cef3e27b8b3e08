import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startFauxqs } from 'fauxqs'

/** What a test may want to happen to a request. */
export interface Fault {
  /** An answer instead of the service's own. */
  readonly status?: number
  readonly code?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The connection is closed: before the service hears of it, when it has done it, or after so many bytes of the answer. */
  readonly cut?: 'request' | 'answer' | number
  /** The body is read and forgotten: for files that are larger than the memory of this process. */
  readonly forget?: boolean
}

export interface Call {
  readonly method: string
  /** Path below the bucket. */
  readonly key: string
  readonly query: URLSearchParams
}

/** A service that speaks S3, on a port of its own. */
export interface S3Service {
  readonly endpoint: string
  readonly bucket: string
  /** Asked of every request. */
  fault: (call: Call) => Fault | undefined
  /** Whether `If-None-Match` is heeded. */
  conditional: boolean
  /** Most keys in one page of a list. */
  pageKeys: number
  /** Keys of uploads that are neither completed nor aborted. */
  openUploads(): string[]
  readonly calls: Call[]
  stop(): Promise<void>
}

interface OpenUpload {
  readonly key: string
  readonly at: Date
}

/**
 * Starts fauxqs behind a server that adds what it lacks: it heeds no `If-None-Match` on writes, lists no uploads and fails
 * only when it should. Nobody here checks signatures: that the SDK signs rightly is not shown.
 */
export async function startS3Service(bucket = 'backups'): Promise<S3Service> {
  const fauxqs = await startFauxqs({ port: 0, logger: false, init: { buckets: [bucket] } })
  const uploads = new Map<string, OpenUpload>()
  const service = {
    bucket,
    conditional: true,
    pageKeys: 1_000,
    fault: (_: Call): Fault | undefined => undefined,
    calls: [] as Call[],
    openUploads: () => [...uploads.values()].map(({ key }) => key),
  }
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy())
  })

  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', fauxqs.address)
    const call: Call = {
      method: incoming.method ?? '',
      key: decodeURIComponent(url.pathname).slice(`/${bucket}/`.length),
      query: url.searchParams,
    }
    service.calls.push(call)
    const fault = service.fault(call) ?? {}
    if (fault.cut === 'request') {
      incoming.destroy()
      return
    }
    if (fault.forget === true) {
      for await (const _ of incoming);
      outgoing.writeHead(200, { etag: '"forgotten"' }).end()
      return
    }
    const body = await collect(incoming)
    if (url.searchParams.get('list-type') === '2') url.searchParams.set('max-keys', String(service.pageKeys))
    if (fault.status !== undefined) {
      refuse(outgoing, fault.status, fault.code ?? '', fault.headers, fault.body)
      return
    }
    if (call.method === 'GET' && call.key === '' && url.searchParams.has('uploads')) {
      listUploads(outgoing, url.searchParams.get('prefix') ?? '')
      return
    }
    if (call.method === 'GET' && url.searchParams.has('uploadId')) {
      refuse(outgoing, 200, '', { 'content-type': 'application/xml' }, '<ListPartsResult></ListPartsResult>')
      return
    }
    const creates = call.method === 'PUT' ? !url.searchParams.has('partNumber') : url.searchParams.has('uploadId')
    if (service.conditional && creates && incoming.headers['if-none-match'] === '*') {
      const head = await pass({ ...incoming.headers, 'content-length': '0' }, 'HEAD', url.pathname, Buffer.alloc(0))
      if (head.status === 200) {
        refuse(outgoing, 412, 'PreconditionFailed')
        return
      }
    }
    const { 'if-none-match': _, ...headers } = incoming.headers
    const done = await pass(headers, call.method, `${url.pathname}${url.search}`, body)
    note(call, done.body.toString())
    if (fault.cut === 'answer') {
      outgoing.destroy()
      return
    }
    outgoing.writeHead(done.status, done.headers)
    if (typeof fault.cut !== 'number') {
      outgoing.end(done.body)
      return
    }
    outgoing.write(done.body.subarray(0, fault.cut), () => outgoing.destroy())
  }

  function note({ method, key, query }: Call, answered: string): void {
    const id = query.get('uploadId')
    if (method === 'POST' && query.has('uploads')) {
      const made = /<UploadId>(.*?)<\/UploadId>/.exec(answered)?.[1]
      if (made !== undefined) uploads.set(made, { key, at: new Date() })
    } else if (id !== null && method !== 'PUT') uploads.delete(id)
  }

  function listUploads(outgoing: ServerResponse, prefix: string): void {
    const found = [...uploads].filter(([, { key }]) => key.startsWith(prefix))
    const xml = found.map(
      ([id, { key, at }]) =>
        `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${at.toISOString()}</Initiated></Upload>`,
    )
    const text = `<ListMultipartUploadsResult>${xml.join('')}<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>`
    refuse(outgoing, 200, '', {}, text)
  }

  function pass(headers: IncomingMessage['headers'], method: string, path: string, body: Buffer) {
    return new Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }>((resolve, reject) => {
      const out = request(fauxqs.address, { method, path, headers }, (response) => {
        collect(response).then(
          (bytes) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes }),
          reject,
        )
      })
      out.on('error', reject)
      out.end(body)
    })
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(service, {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await fauxqs.stop()
    },
  })
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}

function refuse(
  outgoing: ServerResponse,
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {},
  text = `<Error><Code>${code}</Code><Message>as the test wants it</Message></Error>`,
): void {
  outgoing.writeHead(status, { 'content-type': 'application/xml', ...headers }).end(text)
}
