/** Minor releases by major. Change both lists with each release of PostgreSQL that closes holes, and the installer's. */

/** Older ones have known holes in row-level security itself or in what a tenant can reach. */
export const OLDEST_SAFE: Readonly<Record<number, number>> = { 15: 18, 16: 14, 17: 10, 18: 4 }

export const NEWEST_KNOWN: Readonly<Record<number, number>> = { 15: 19, 16: 15, 17: 11, 18: 6 }

/** A list of majors and minors as rows for `values`. */
export function versionRows(versions: Readonly<Record<number, number>>): string {
  return Object.entries(versions)
    .map(([major, minor]) => `(${major}, ${minor})`)
    .join(', ')
}
