import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'

/** Iterations PostgreSQL itself uses (`scram_iterations`). */
const ITERATIONS = 4096

/**
 * Returns the SCRAM-SHA-256 verifier PostgreSQL stores for a password, so that the password itself is in no
 * statement, log or activity view. @see RFC 5802 section 3, RFC 7677
 */
export function scramVerifier(password: string, salt: Buffer = randomBytes(16)): string {
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, ITERATIONS, 32, 'sha256')
  const key = (name: string) => createHmac('sha256', salted).update(name).digest()
  const storedKey = createHash('sha256').update(key('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${key('Server Key').toString('base64')}`
}
