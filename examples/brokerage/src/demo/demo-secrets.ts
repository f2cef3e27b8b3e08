import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from 'rowhouse'

/** What the demonstration must remember between starts: made once, readable for its user only. */
export interface DemoSecrets {
  /** All tenants' seals derive from it; base64 of 32 bytes. */
  readonly rootKey: string
  /** Of the database login `rowhouse_app`. */
  readonly appPassword: string
  /** Signs sessions, invitations and proofs; base64 of 32 bytes. */
  readonly secretKey: string
}

const NAMES = ['rootKey', 'appPassword', 'secretKey'] as const

/**
 * Reads the secrets of an earlier start, or makes them.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the file is damaged: new secrets would not fit the old databases
 */
export async function loadDemoSecrets(dataDir: string): Promise<DemoSecrets> {
  await mkdir(dataDir, { recursive: true })
  const file = join(dataDir, 'secrets.json')
  const text = await readFile(file, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text !== undefined) return parse(text, file)
  const secrets = {
    rootKey: randomBytes(32).toString('base64'),
    appPassword: randomBytes(24).toString('base64url'),
    secretKey: randomBytes(32).toString('base64'),
  }
  await writeSecret(file, JSON.stringify(secrets))
  return secrets
}

/** Writes beside and renames, so that a start that is cut short leaves no half file behind. */
export async function writeSecret(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomBytes(4).toString('hex')}`
  await writeFile(draft, text, { mode: 0o600, flag: 'wx' })
  await rename(draft, file)
}

function parse(text: string, file: string): DemoSecrets {
  try {
    const secrets = JSON.parse(text)
    if (NAMES.every((name) => typeof secrets[name] === 'string')) return secrets
  } catch {
    // Said below, as for a file that lacks one.
  }
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot read the secrets in "${file}": wanted ${NAMES.join(', ')}; remove the folder to begin anew`,
  )
}
