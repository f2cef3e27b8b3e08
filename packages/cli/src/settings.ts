import { readFileSync } from 'node:fs'
import { ConfigError } from 'rowhouse'

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads a setting from the environment, or from the file that `NAME_FILE` points to. Secrets come no other way: a flag
 * would stand in the shell's history and in the list of processes.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the file cannot be read
 */
export function readSetting(env: Environment, name: string): string | undefined {
  const file = env[`${name}_FILE`]
  return file === undefined || file === '' ? env[name] : readSecretFile(file, `${name}_FILE`)
}

function readSecretFile(file: string, namedBy: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot read the file "${file}" that ${namedBy} names: ${(error as Error).message}`,
      { cause: error },
    )
  }
}

/** What operators' commands connect with. Missing values are refused, with the remedy, by the library. */
export function adminSettings(
  env: Environment,
  { adminUrlFile }: { readonly adminUrlFile?: string } = {},
): { url: string | undefined; rootKey: string | undefined } {
  const url =
    adminUrlFile === undefined
      ? readSetting(env, 'ROWHOUSE_ADMIN_URL')
      : readSecretFile(adminUrlFile, '--admin-url-file')
  return { url, rootKey: readSetting(env, 'ROWHOUSE_ROOT_KEY') }
}

/** What scoped statements connect with: the application's own login. */
export function appSettings(env: Environment): { url: string | undefined; rootKey: string | undefined } {
  return { url: readSetting(env, 'DATABASE_URL'), rootKey: readSetting(env, 'ROWHOUSE_ROOT_KEY') }
}
