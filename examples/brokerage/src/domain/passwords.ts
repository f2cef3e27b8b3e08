import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number }, Buffer>(scrypt)

/** 16 MiB and some 50 ms per guess. */
const COST = { N: 16_384, r: 8, p: 1 }
const HASH_BYTES = 32

export const MIN_PASSWORD_LENGTH = 12
export const MAX_PASSWORD_LENGTH = 200

/** Returns what is stored of a password: `scrypt$salt$hash`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  return `scrypt$${salt.toString('base64url')}$${(await derive(password, salt, HASH_BYTES, COST)).toString('base64url')}`
}

/** Tells whether `password` is the one; takes as long where there is none, so that nobody learns who has an account. */
export async function isPassword(password: string, stored: string | undefined): Promise<boolean> {
  const [, salt = '', hash = ''] = stored?.split('$') ?? []
  const wanted = Buffer.from(hash, 'base64url')
  const given = await derive(password.slice(0, MAX_PASSWORD_LENGTH), Buffer.from(salt, 'base64url'), HASH_BYTES, COST)
  return wanted.length === HASH_BYTES && timingSafeEqual(given, wanted)
}
