const NEWLINE = 10

/**
 * Sums up rows of COPY's text format, whatever order they come in: 64 bits of a hash of each line, added up.
 *
 * Finds what goes wrong by accident: a row that is missing, twice, or changed. Against somebody who changes rows on
 * purpose stand the frames and the signature. Computed where the bytes pass by, because PostgreSQL would have to write
 * each row a second time to hash it, which takes longer than copying it.
 */
export class RowSum {
  rows = 0
  #low = 0
  #high = 0
  // State of the line that has not ended yet: rows go across chunks.
  #one = 0x811c9dc5
  #two = 0x9747b28c

  add(chunk: Uint8Array): void {
    let one = this.#one
    let two = this.#two
    for (let i = 0; i < chunk.length; i += 1) {
      const byte = chunk[i] as number
      if (byte !== NEWLINE) {
        one = Math.imul(one ^ byte, 0x01000193)
        two = Math.imul(two ^ byte, 0x5bd1e995)
        two ^= two >>> 15
        continue
      }
      this.rows += 1
      this.#low = (this.#low + mixed(one)) >>> 0
      this.#high = (this.#high + mixed(two ^ (one << 7))) >>> 0
      one = 0x811c9dc5
      two = 0x9747b28c
    }
    this.#one = one
    this.#two = two
  }

  /** Sixteen hexadecimal digits. */
  get text(): string {
    return [this.#high, this.#low].map((part) => part.toString(16).padStart(8, '0')).join('')
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
