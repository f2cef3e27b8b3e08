import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { deflateRaw, inflateRaw } from 'node:zlib'
import { ArtefactError } from 'rowhouse'

const deflate = promisify<Buffer, { level: number }, Buffer>(deflateRaw)
const inflate = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw)

/** Rows per frame in bytes, before compression. What is in memory at a time is a few of them. */
const FRAME_BYTES = 512 * 1024
/** Deflate adds a little to what cannot be compressed; a longer frame was never written by this program. */
const MAX_SEALED_BYTES = FRAME_BYTES + 16 * 1024
const HEADER_BYTES = 5
const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'
/** Compression runs in threads of its own, so the next frames are compressed while one is written. */
const IN_FLIGHT = 4
/** A frame says in its first byte whether it is the last of its file. */
const MORE = 0
const LAST = 1

/** Which file of which artefact a frame belongs to: part of what is authenticated. */
export interface FrameContext {
  /** The artefact's own key, used for nothing else. */
  readonly key: Buffer
  /** UUID of the artefact. */
  readonly artefact: string
  /** Number of the file, from 1. */
  readonly file: number
}

/** What the manifest says of a file. */
export interface FileDigest {
  readonly bytes: number
  readonly frames: number
  /** Of the file as it lies there. */
  readonly sha256: string
}

/** Where a file's bytes go. */
export interface FileSink {
  write(bytes: Buffer): Promise<void>
  /** Returns when the bytes are safe. */
  close(): Promise<void>
}

/**
 * Compresses, encrypts and writes a stream as frames. Nonces are file and frame number: a key is used for one artefact, so
 * none comes twice.
 */
export async function writeFrames(
  context: FrameContext,
  source: AsyncIterable<Buffer>,
  sink: FileSink,
): Promise<FileDigest> {
  const hash = createHash('sha256')
  const waiting: Promise<Buffer>[] = []
  let bytes = 0
  let frames = 0
  const writeNext = async (flag: number) => {
    const sealed = seal(context, frames, flag, (await waiting.shift()) as Buffer)
    frames += 1
    bytes += sealed.length
    hash.update(sealed)
    await sink.write(sealed)
  }
  for await (const part of inFrames(source)) {
    if (waiting.length >= IN_FLIGHT) await writeNext(MORE)
    const compressed = deflate(part, { level: 1 })
    compressed.catch(() => {})
    waiting.push(compressed)
  }
  // An empty table has one empty frame: that it ends here is said by a frame and not by the end of the file.
  if (waiting.length === 0) waiting.push(deflate(Buffer.alloc(0), { level: 1 }))
  while (waiting.length > 0) await writeNext(waiting.length === 1 ? LAST : MORE)
  await sink.close()
  return { bytes, frames, sha256: hash.digest('hex') }
}

/**
 * Reads, authenticates, decrypts and decompresses the frames of a file.
 *
 * @param expected  what the manifest says; the bytes are compared with it when the last frame was read
 * @throws {ArtefactError} `ERR_ARTEFACT_DAMAGED` for a frame that is altered, missing, moved, foreign or too much
 */
export async function* readFrames(
  context: FrameContext,
  source: AsyncIterable<Buffer>,
  expected: FileDigest,
): AsyncGenerator<Buffer> {
  const waiting: Promise<Buffer>[] = []
  for await (const compressed of openFrames(context, source, expected)) {
    const plain = inflate(compressed, { maxOutputLength: FRAME_BYTES + 1 })
    plain.catch(() => {})
    waiting.push(plain)
    if (waiting.length >= IN_FLIGHT) yield await (waiting.shift() as Promise<Buffer>)
  }
  for (const plain of waiting) yield await plain
}

/** Authenticates the frames of a file and yields what is in them, still compressed. */
export async function* openFrames(
  context: FrameContext,
  source: AsyncIterable<Buffer>,
  expected: FileDigest,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  const reader = new FrameReader(context, source)
  let bytes = 0
  for (let frame = 0; ; frame += 1) {
    const { flag, sealed } = await reader.next(frame)
    hash.update(sealed)
    bytes += sealed.length
    yield unseal(context, frame, flag, sealed)
    if (flag === MORE) continue
    await reader.requireEnd()
    if (frame + 1 !== expected.frames) throw damaged(context, `it has ${frame + 1} frames, wanted ${expected.frames}`)
    if (bytes !== expected.bytes || hash.digest('hex') !== expected.sha256)
      throw damaged(context, 'its digest is not the one of the manifest')
    return
  }
}

class FrameReader {
  readonly #context: FrameContext
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(context: FrameContext, source: AsyncIterable<Buffer>) {
    this.#context = context
    this.#chunks = source[Symbol.asyncIterator]()
  }

  async next(frame: number): Promise<{ flag: number; sealed: Buffer }> {
    await this.#have(HEADER_BYTES, frame)
    const flag = this.#rest.readUInt8(0)
    const length = this.#rest.readUInt32BE(1)
    if ((flag !== MORE && flag !== LAST) || length > MAX_SEALED_BYTES)
      throw damaged(this.#context, `frame ${frame} has a header that was never written`)
    const size = HEADER_BYTES + length + TAG_BYTES
    await this.#have(size, frame)
    const sealed = this.#rest.subarray(0, size)
    this.#rest = this.#rest.subarray(size)
    return { flag, sealed }
  }

  async requireEnd(): Promise<void> {
    const more = this.#rest.length > 0 || (await this.#chunks.next()).done !== true
    if (more) throw damaged(this.#context, 'it goes on after its last frame')
  }

  async #have(size: number, frame: number): Promise<void> {
    const parts = [this.#rest]
    for (let length = this.#rest.length; length < size; ) {
      const { done, value } = await this.#chunks.next()
      if (done === true) throw damaged(this.#context, `it is cut off in frame ${frame}`)
      parts.push(value)
      length += value.length
    }
    if (parts.length > 1) this.#rest = Buffer.concat(parts)
  }
}

function seal(context: FrameContext, frame: number, flag: number, compressed: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt8(flag, 0)
  header.writeUInt32BE(compressed.length, 1)
  const cipher = createCipheriv(CIPHER, context.key, nonce(context, frame), { authTagLength: TAG_BYTES })
  cipher.setAAD(authenticated(context, header))
  return Buffer.concat([header, cipher.update(compressed), cipher.final(), cipher.getAuthTag()])
}

function unseal(context: FrameContext, frame: number, flag: number, sealed: Buffer): Buffer {
  const header = sealed.subarray(0, HEADER_BYTES)
  const decipher = createDecipheriv(CIPHER, context.key, nonce(context, frame), { authTagLength: TAG_BYTES })
  decipher.setAAD(authenticated(context, header))
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(HEADER_BYTES, -TAG_BYTES)), decipher.final()])
  } catch (error) {
    const where = flag === LAST ? `frame ${frame}, its last,` : `frame ${frame}`
    throw damaged(context, `${where} is altered, moved, or of another artefact`, error)
  }
}

function nonce({ file }: FrameContext, frame: number): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt32BE(file, 0)
  bytes.writeBigUInt64BE(BigInt(frame), 4)
  return bytes
}

function authenticated({ artefact, file }: FrameContext, header: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`rowhouse-artefact/1|${artefact}|${file}|`), header])
}

/** Puts chunks of any size together to frames of one size. */
async function* inFrames(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let frame = Buffer.allocUnsafe(FRAME_BYTES)
  let filled = 0
  for await (const chunk of source) {
    for (let from = 0; from < chunk.length; ) {
      const copied = chunk.copy(frame, filled, from)
      filled += copied
      from += copied
      if (filled < FRAME_BYTES) continue
      yield frame
      frame = Buffer.allocUnsafe(FRAME_BYTES)
      filled = 0
    }
  }
  if (filled > 0) yield frame.subarray(0, filled)
}

function damaged({ file, artefact }: FrameContext, what: string, cause?: unknown): ArtefactError {
  return new ArtefactError(
    'ERR_ARTEFACT_DAMAGED',
    `Cannot read file ${file} of artefact "${artefact}": ${what}; use another backup`,
    { cause },
  )
}
