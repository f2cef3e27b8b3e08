import { readFileSync } from 'node:fs'
import { ConfigError } from '../errors.ts'

/**
 * Reads the connection URL a registry refers to: `env:NAME` or `file:/path`. The URL itself is a secret and is in no
 * table and no message.
 *
 * @param owner  whose URL it is, for the message: `server "eu-1"`
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the variable or file is missing, or what it holds is no URL
 */
export function readConnectionUrl(reference: string, owner: string): string {
  const url = reference.startsWith('env:') ? process.env[reference.slice(4)] : readSecretFile(reference, owner)
  if (url === undefined || url.trim() === '') {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot connect to ${owner}: its URL is expected in "${reference}", which is empty or not set; set it for this process`,
    )
  }
  if (!/^postgres(?:ql)?:\/\//.test(url.trim()) || !URL.canParse(url.trim())) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot connect to ${owner}: "${reference}" holds no URL; wanted postgres://user:password@host:port/database, with special characters percent-encoded`,
    )
  }
  return url.trim()
}

function readSecretFile(reference: string, owner: string): string {
  try {
    return readFileSync(reference.slice('file:'.length), 'utf8')
  } catch (error) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot connect to ${owner}: its URL is expected in "${reference}", which cannot be read (${(error as { code?: string }).code})`,
      { cause: error },
    )
  }
}

/** Returns the URL of another database of the same server. */
export function urlOfDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${encodeURIComponent(database)}`
  return changed.href
}
