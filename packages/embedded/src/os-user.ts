import { readFileSync } from 'node:fs'

/** The user PostgreSQL runs as. */
export interface OsUser {
  readonly uid: number
  readonly gid: number
}

/** Users made for servers come first; `nobody` exists nearly everywhere; 65534 needs no entry at all. */
const CANDIDATES = ['postgres', 'nobody']
const FALLBACK: OsUser = { uid: 65_534, gid: 65_534 }

/** Returns the user to run PostgreSQL as, or undefined when it may run as we are: it refuses to run as root. */
export function findOsUser(passwd: string | undefined = readPasswd(), uid = process.getuid?.()): OsUser | undefined {
  if (uid !== 0) return undefined
  for (const name of CANDIDATES) {
    const fields = passwd
      ?.split('\n')
      .find((line) => line.startsWith(`${name}:`))
      ?.split(':')
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) }
  }
  return FALLBACK
}

function readPasswd(): string | undefined {
  try {
    return readFileSync('/etc/passwd', 'utf8')
  } catch {
    return undefined
  }
}
