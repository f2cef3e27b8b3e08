/** Has the peer's own generator write its migration; none of its text is kept in this repository. */

import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const GENERATE_TIMEOUT_MS = 120_000

/**
 * Runs `tenant-cli migrate --dry-run`, as its README says, and returns the SQL it prints.
 *
 * @param version  of `@usebetterdev/tenant-cli`; npx installs it where it is not yet
 * @throws Error when the generator does not come to an end within two minutes, or prints no migration
 */
export async function generateMigration(version: string, tables: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rowhouse-peers-'))
  try {
    await writeFile(
      join(folder, 'better.config.ts'),
      `export default ${JSON.stringify({ tenant: { tenantTables: tables } })}\n`,
    )
    const { stdout } = await promisify(execFile)(
      'npx',
      ['--yes', `@usebetterdev/tenant-cli@${version}`, 'migrate', '--dry-run'],
      { cwd: folder, env: { ...process.env, BETTER_TENANT_TELEMETRY: '0' }, timeout: GENERATE_TIMEOUT_MS },
    ).catch((cause: unknown) => {
      const command = `npx @usebetterdev/tenant-cli@${version} migrate`
      throw new Error(`Cannot set up the peer: "${command}" failed; it needs the npm registry once`, { cause })
    })
    const missing = tables.filter((table) => !stdout.includes(`"${table}"`))
    if (missing.length > 0) throw new Error(`Cannot set up the peer: its migration leaves out ${missing.join(', ')}`)
    return stdout
  } finally {
    await rm(folder, { recursive: true })
  }
}
