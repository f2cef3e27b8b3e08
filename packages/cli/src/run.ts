import { buildApplication, buildRouteMap, run as runApplication } from '@stricli/core'
import type { Context, Io } from './command.ts'
import { adviseCommand } from './commands/advise.ts'
import { backupRoutes } from './commands/backup.ts'
import { demoCommand } from './commands/demo.ts'
import { doctorCommand } from './commands/doctor.ts'
import { fuzzCommand } from './commands/fuzz.ts'
import { injectCommand } from './commands/inject.ts'
import { installCommand } from './commands/install.ts'
import { migrateRoutes } from './commands/migrate.ts'
import { orphansCommand } from './commands/orphans.ts'
import { protectCommand } from './commands/protect.ts'
import { explainCommand, queryCommand } from './commands/query.ts'
import { serverRoutes } from './commands/server.ts'
import { standbyRoutes } from './commands/standby.ts'
import { tenantRoutes } from './commands/tenant.ts'
import { verifyCommand } from './commands/verify.ts'
import { USAGE } from './exit-code.ts'
import { readVersion } from './version.ts'

export type { Io } from './command.ts'

const application = buildApplication(
  buildRouteMap({
    routes: {
      demo: demoCommand,
      install: installCommand,
      protect: protectCommand,
      advise: adviseCommand,
      doctor: doctorCommand,
      verify: verifyCommand,
      fuzz: fuzzCommand,
      inject: injectCommand,
      server: serverRoutes,
      tenant: tenantRoutes,
      standby: standbyRoutes,
      backup: backupRoutes,
      migrate: migrateRoutes,
      orphans: orphansCommand,
      query: queryCommand,
      explain: explainCommand,
    },
    docs: { brief: 'Multi-tenancy for TypeScript and PostgreSQL' },
  }),
  {
    name: 'rowhouse',
    versionInfo: { getCurrentVersion: async () => readVersion() },
    scanner: { caseStyle: 'allow-kebab-for-camel' },
    documentation: { caseStyle: 'convert-camel-to-kebab' },
  },
)

/**
 * Runs the command line and returns its exit code. Results go to `io.stdout`, everything said to people to `io.stderr`.
 *
 * @example
 * ```ts
 * import { run } from 'rowhouse-cli'
 * process.exitCode = await run(['tenant', 'list', '--json'], { stdout: process.stdout, stderr: process.stderr, env: process.env })
 * ```
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const process = { stdout: io.stdout, stderr: io.stderr, env: { ...io.env }, exitCode: null as number | string | null }
  const context = { process, io, exitCode: 0 }
  await runApplication(application, argv, context as unknown as Context)
  if (context.exitCode !== 0) return context.exitCode
  // The parser's own codes are negative: what was typed makes no command.
  const parsed = Number(process.exitCode ?? 0)
  return parsed === 0 ? 0 : USAGE
}
