/** A position in a cluster's write-ahead log. Positions of one cluster are ordered; those of two mean nothing together. */
export interface LogPosition {
  /** PostgreSQL's system identifier: which cluster. */
  readonly system: string
  readonly lsn: bigint
}

/** Reads PostgreSQL's text of a position, e.g. `0/3002B30`. */
export function parseLsn(text: string): bigint {
  const [high = '', low = ''] = text.split('/')
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
}

/** Writes a position as PostgreSQL does. */
export function lsnText(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase()
}

const VERSION = 'w1'
const TOKEN = /^w1\.(\d{1,20})\.([0-9a-f]{1,16})$/

/** Makes the text that carries a position to another process. */
export function toWriteToken({ system, lsn }: LogPosition): string {
  return `${VERSION}.${system}.${lsn.toString(16)}`
}

/**
 * Reads a token. Returns undefined for anything else: it may come from a cookie, and whoever changed it is served as if
 * it said "everything until now".
 */
export function parseWriteToken(token: string): LogPosition | undefined {
  const [, system, lsn] = TOKEN.exec(token) ?? []
  return system === undefined || lsn === undefined ? undefined : { system, lsn: BigInt(`0x${lsn}`) }
}
