const NEWLINE = 10
const ONE = 0x811c9dc5 | 0
const TWO = 0x9747b28c | 0

/**
 * Sums up rows of COPY's text format, whatever order they come in: 64 bits of a hash of each line, added up.
 *
 * Finds what goes wrong by accident: a row that is missing, twice, or changed. Against somebody who changes rows on
 * purpose stand the frames and the signature. Computed where the bytes pass by, because PostgreSQL would have to write
 * each row a second time to hash it, which takes longer than copying it; four bytes at a time, because one at a time takes
 * a third of what the copy does.
 */
export class RowSum {
  rows = 0
  #low = 0
  #high = 0
  // State of the line that has not ended yet: rows go across chunks, and so do words.
  #one = ONE
  #two = TWO
  #word = 0
  #bytes = 0

  add(chunk: Uint8Array): void {
    const words = new DataView(chunk.buffer, chunk.byteOffset, chunk.length)
    for (let from = 0; from < chunk.length; ) {
      const end = chunk.indexOf(NEWLINE, from)
      this.#hash(chunk, words, from, end === -1 ? chunk.length : end)
      if (end === -1) return
      this.#end()
      from = end + 1
    }
  }

  /** Sixteen hexadecimal digits. */
  get text(): string {
    return [this.#high, this.#low].map((part) => part.toString(16).padStart(8, '0')).join('')
  }

  #hash(chunk: Uint8Array, words: DataView, from: number, end: number): void {
    let at = from
    while (this.#bytes % 4 !== 0 && at < end) this.#addByte(chunk[at++] as number)
    let one = this.#one
    let two = this.#two
    const first = at
    for (; at + 4 <= end; at += 4) {
      const word = words.getInt32(at, true)
      one = Math.imul(one ^ word, 0x01000193)
      one ^= one >>> 15
      two = Math.imul(two ^ word, 0x5bd1e995)
      two ^= two >>> 13
    }
    this.#one = one
    this.#two = two
    this.#bytes += at - first
    while (at < end) this.#addByte(chunk[at++] as number)
  }

  #addByte(byte: number): void {
    this.#word |= byte << (8 * (this.#bytes % 4))
    this.#bytes += 1
    if (this.#bytes % 4 === 0) this.#addWord()
  }

  #addWord(): void {
    this.#one = Math.imul(this.#one ^ this.#word, 0x01000193)
    this.#one ^= this.#one >>> 15
    this.#two = Math.imul(this.#two ^ this.#word, 0x5bd1e995)
    this.#two ^= this.#two >>> 13
    this.#word = 0
  }

  #end(): void {
    if (this.#bytes % 4 !== 0) this.#addWord()
    this.rows += 1
    this.#low = (this.#low + mixed(this.#one ^ this.#bytes)) >>> 0
    this.#high = (this.#high + mixed(this.#two ^ this.#bytes)) >>> 0
    this.#one = ONE
    this.#two = TWO
    this.#bytes = 0
  }
}

/** Spreads each bit over all others, so that sums of similar rows do not cancel out (the finalizer of MurmurHash3). */
function mixed(hash: number): number {
  let h = hash ^ (hash >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
