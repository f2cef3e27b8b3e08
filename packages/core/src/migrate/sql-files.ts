import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'

/** A forward-only migration of the schema `rowhouse`. */
export interface SqlFile {
  readonly version: number
  readonly name: string
  readonly text: string
  readonly sha256: string
}

const FOLDER = new URL('../../sql/', import.meta.url)
const FILE_NAME = /^(\d{6})-[a-z0-9-]+\.sql$/

/** Reads the migrations that come with this version of Rowhouse, oldest first. */
export function readSqlFiles(): readonly SqlFile[] {
  return readdirSync(FOLDER)
    .filter((name) => FILE_NAME.test(name))
    .sort()
    .map((name) => {
      const text = readFileSync(new URL(name, FOLDER), 'utf8')
      const sha256 = createHash('sha256').update(text).digest('hex')
      return { version: Number(name.slice(0, 6)), name, text, sha256 }
    })
}
