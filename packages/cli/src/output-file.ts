import { writeFile } from 'node:fs/promises'
import { ConfigError } from 'rowhouse'

/** A file somebody asked for, and the flag that named it. */
export interface OutputFile {
  readonly flag: string
  readonly path: string
  readonly text: string
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
