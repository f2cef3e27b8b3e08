import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from 'rowhouse'

/** What the demonstration must remember between starts: made once, readable for its user only. */
export interface DemoSecrets {
  /** All tenants' seals derive from it; base64 of 32 bytes. */
  readonly rootKey: string
  /** Of the database login `rowhouse_app`. */
  readonly appPassword: string
  /** Signs the session cookies; base64 of 32 bytes. */
  readonly sessionKey: string
}

const NAMES = ['rootKey', 'appPassword', 'sessionKey'] as const

/**
 * Reads the secrets of an earlier start, or makes them.
 *
 * @param dataDir  folder of the demonstration; made when missing
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the file is damaged: new secrets would not fit the old database
 */
export async function loadDemoSecrets(dataDir: string): Promise<DemoSecrets> {
  await mkdir(dataDir, { recursive: true })
  const file = join(dataDir, 'secrets.json')
  const text = await readFile(file, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined ? makeSecrets(file) : parseSecrets(text, file)
}

async function makeSecrets(file: string): Promise<DemoSecrets> {
  const secrets: DemoSecrets = {
    rootKey: randomBytes(32).toString('base64'),
    appPassword: randomBytes(24).toString('base64url'),
    sessionKey: randomBytes(32).toString('base64'),
  }
  // Written beside and renamed, so that a start that is cut short leaves no half file behind.
  const draft = `${file}.${randomBytes(4).toString('hex')}`
  await writeFile(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  await chmod(draft, 0o600)
  await rename(draft, file)
  return secrets
}

function parseSecrets(text: string, file: string): DemoSecrets {
  const secrets = parseJson(text)
  if (NAMES.every((name) => typeof secrets?.[name] === 'string' && secrets[name] !== '')) {
    return secrets as unknown as DemoSecrets
  }
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot read the secrets in "${file}": wanted ${NAMES.join(', ')}; remove the folder to begin anew`,
  )
}

function parseJson(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
