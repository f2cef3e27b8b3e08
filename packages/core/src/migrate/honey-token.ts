import { randomBytes } from 'node:crypto'

const TOKEN_CHARACTERS = 20

/** Makes a honey token: `hny_` and 20 letters and digits, about 119 bits, so that no real value contains it by chance. */
export function createHoneyToken(): string {
  const characters = randomBytes(TOKEN_CHARACTERS * 4)
    .toString('base64')
    .replace(/[^0-9A-Za-z]/g, '')
  return `hny_${characters.slice(0, TOKEN_CHARACTERS)}`
}
