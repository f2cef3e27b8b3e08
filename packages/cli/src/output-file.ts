import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError } from 'rowhouse'

/** A file somebody asked for, and the flag that named it. */
export interface OutputFile {
  readonly flag: string
  readonly path: string
  readonly text: string
}

/**
 * Writes a file that is not there yet, and the folders above it.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when it is there, unless `overwrite`, and when it cannot be written
 */
export async function writeNewFile({ flag, path, text }: OutputFile, overwrite: boolean): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text, { flag: overwrite ? 'w' : 'wx' })
  } catch (error) {
    const isThere = (error as { code?: unknown }).code === 'EEXIST'
    const fault = isThere ? 'it is there already; give --force to overwrite it' : (error as Error).message
    throw new ConfigError('ERR_CONFIG_INVALID', `Cannot write "${path}" for ${flag}: ${fault}`, { cause: error })
  }
}

/**
 * Writes files, also those after one that cannot be written.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for the first that could not be written
 */
export async function writeOutputFiles(files: readonly OutputFile[]): Promise<void> {
  let failed: ConfigError | undefined
  for (const { flag, path, text } of files) {
    try {
      await writeFile(path, text)
    } catch (error) {
      failed ??= new ConfigError(
        'ERR_CONFIG_INVALID',
        `Cannot write "${path}" for ${flag}: ${(error as Error).message}`,
        { cause: error },
      )
    }
  }
  if (failed !== undefined) throw failed
}
