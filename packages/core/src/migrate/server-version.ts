import { MigrationError } from '../errors.ts'

/**
 * The oldest minor release of each major Rowhouse runs on. Older ones have holes in row-level security itself
 * (CVE-2024-10976, CVE-2025-8713) or lack what moves need. @see https://www.postgresql.org/support/security/
 */
const OLDEST: Readonly<Record<number, number>> = { 15: 18, 16: 14, 17: 10, 18: 4 }
const NEWEST_MAJOR = 18

/**
 * Refuses a server that is too old.
 *
 * @param versionNumber  `server_version_num`, e.g. 180004 for 18.4
 * @throws {MigrationError} `ERR_SERVER_UNSUPPORTED`
 */
export function assertServerVersion(versionNumber: number): void {
  const major = Math.floor(versionNumber / 10_000)
  const minor = versionNumber % 10_000
  if (major > NEWEST_MAJOR) return
  const oldest = OLDEST[major]
  if (oldest !== undefined && minor >= oldest) return
  const wanted = Object.entries(OLDEST).map(([wantedMajor, wantedMinor]) => `${wantedMajor}.${wantedMinor}`)
  throw new MigrationError(
    'ERR_SERVER_UNSUPPORTED',
    `Cannot install into PostgreSQL ${major}.${minor}: wanted at least ${wanted.join(', ')}; update the server first`,
  )
}
