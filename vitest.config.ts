import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
import { ClosingLineReporter } from './tools/closing-line-reporter.ts'
import { makeMemoryFolder } from './tools/memory-folder.ts'

// Once for the run: workers and servers inherit it.
process.env.TMPDIR ??= makeMemoryFolder() ?? tmpdir()

/** Workspace packages are resolved to their TypeScript source, never to a build that may be stale. */
const conditions = ['source', 'node', 'development|production']

/** Folders of core/test whose result does not depend on the server's version: they run against one only. */
const anyServer = ['adapters', 'resolve', 'orm', 'observe', 'placement', 'pooler', 'repo'].map(
  (folder) => `packages/core/test/${folder}/**`,
)

/** Everything, however long it takes: `npm run test:long`. Otherwise what all suites take together is bounded. */
const IS_LONG = process.env.ROWHOUSE_TEST_LONG === '1'

/** Faults and sizes that take most of a minute each. */
const slow = IS_LONG
  ? []
  : [
      'packages/proof/test/doctor/scale.test.ts',
      'packages/proof/test/verify/left-behind.test.ts',
      'packages/server/test/backup/killed-backup.test.ts',
      // Which tenant lives how: one of three arrangements is in every run.
      'examples/freight/test/hybrid/database-pooled-schema.test.ts',
      'examples/freight/test/hybrid/pooled-schema-database.test.ts',
      // What it runs is compiled by the gate, and rehearsed beside it.
      'packages/server/test/testing/guide.test.ts',
    ]

/** What takes long and tests this code more than the server: on the newest, and on all with `npm run test:long`. */
const onNewest = [
  'isolation/concurrency.test.ts',
  'isolation/faults.test.ts',
  'replica/**',
  'fence/context.test.ts',
  'fence/waiting.test.ts',
].map((name) => `packages/core/test/${name}`)

/** Its files keep nothing in modules, so a worker loads those once: a third less time. */
const isolate = false

const globalSetup = ['packages/core/test/support/global-setup.ts']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  // Global setups are loaded in an environment of their own, which inherits neither of the two above.
  environments: { __vitest__: { resolve: { conditions, externalConditions: conditions, noExternal: [/^rowhouse/] } } },
  test: {
    pool: 'forks',
    maxWorkers: 2,
    // Bounds for a busy machine, not expectations: a test that waits, waits for something to happen.
    testTimeout: 90_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
    // The last line of every run is "N passed, N failed, N skipped", which continuous integration reads.
    reporters: ['default', new ClosingLineReporter()],
    server: { deps: { inline: [/^rowhouse/] } },
    projects: [
      { extends: true, test: { name: 'unit', include: ['packages/*/src/**/*.test.ts', 'tools/*.test.ts'], isolate } },
      ...serverProjects(),
      withoutServer('embedded', ['packages/embedded/test/**/*.test.ts']),
      withServer('proof', ['packages/proof/test/**/*.test.ts'], '18', slow),
      ...proofOnOlderServers(),
      ...placementProjects(),
      withServer('server', ['packages/server/test/**/*.test.ts'], '18', slow),
      withoutServer('s3', ['packages/s3/test/**/*.test.ts']),
      withoutServer('eslint-plugin', ['packages/eslint-plugin/test/**/*.test.ts']),
      withServer('cli', ['packages/cli/test/**/*.test.ts'], '18'),
      withServer('examples', ['examples/*/test/**/*.test.ts'], '18', slow),
    ],
  },
})

function withoutServer(name: string, include: string[]): TestProjectConfiguration {
  return { extends: true, test: { name, include } }
}

function withServer(name: string, include: string[], major: string, exclude: string[] = []): TestProjectConfiguration {
  return { extends: true, test: { name, include, exclude, globalSetup, env: { ROWHOUSE_TEST_PG: major } } }
}

/**
 * Returns one project per PostgreSQL major, all with the same test files; or one named `external` when
 * ROWHOUSE_TEST_DATABASE_URL names a server, whose major is what it is.
 */
function serverProjects(): TestProjectConfiguration[] {
  const include = ['packages/core/test/**/*.test.ts']
  if (process.env.ROWHOUSE_TEST_DATABASE_URL) return [withServer('external', include, 'external')]
  const older = ['15', '16', '17'].filter(hasBinaries)
  return [
    ...older.map((major) => {
      const exclude = IS_LONG ? anyServer : [...anyServer, ...onNewest]
      const env = { ROWHOUSE_TEST_PG: major }
      return { extends: true as const, test: { name: `pg${major}`, include, exclude, globalSetup, env, isolate } }
    }),
    withServer('pg18', include, '18'),
  ]
}

/** Catalogs differ between majors: what the doctor compares on all of them, what verify reads on the oldest. */
function proofOnOlderServers(): TestProjectConfiguration[] {
  if (process.env.ROWHOUSE_TEST_DATABASE_URL) return []
  const tests = {
    15: [
      'doctor/rules',
      'clone/*',
      'verify/verify-live',
      ...(IS_LONG ? ['verify/verify', 'doctor/installation-altered'] : []),
    ],
    ...(IS_LONG ? { 16: ['doctor/installation-altered'], 17: ['doctor/installation-altered'] } : {}),
  }
  return Object.entries(tests)
    .filter(([major]) => hasBinaries(major))
    .map(([major, names]) => {
      const include = names.map((name) => `packages/proof/test/${name}.test.ts`)
      return withServer(`proof${major}`, include, major)
    })
}

/**
 * The same promises for tenants that live elsewhere (`createNeighbours`), each file where it has something to show:
 * turns, leftovers and the tripwire's neighbours need one connection that serves both tenants.
 */
function placementProjects(): TestProjectConfiguration[] {
  if (process.env.ROWHOUSE_TEST_DATABASE_URL) return []
  const everywhere = ['isolation/walls', 'isolation/transactions', 'isolation/cross-tenant', 'isolation/rotation']
  const oneDatabase = [
    ...everywhere,
    'isolation/turns',
    'isolation/leftovers',
    'isolation/tripwire',
    'isolation/concurrency',
  ]
  const orms = ['orm/kysely', 'orm/drizzle', 'orm/prisma']
  const tests = {
    // Without Prisma: it writes its schema into every statement, and a client knows one schema only.
    schema: [...oneDatabase, 'orm/kysely', 'orm/drizzle'],
    hybrid: [...oneDatabase, 'orm/kysely'],
    database: [...everywhere, 'isolation/concurrency', 'isolation/faults', ...orms],
    split: [...everywhere, 'isolation/concurrency', 'orm/kysely'],
  }
  return Object.entries(tests)
    .filter(([model]) => model !== 'split' || hasBinaries('15'))
    .map(([model, names]) => {
      const include = names.map((name) => `packages/core/test/${name}.test.ts`)
      const env = { ROWHOUSE_TEST_PG: '18', ROWHOUSE_TEST_MODEL: model }
      return { extends: true, test: { name: `placement-${model}`, include, globalSetup, env, isolate } }
    })
}

/** The older majors are packaged for development on Linux x64; elsewhere the tests run on 18 alone. */
function hasBinaries(major: string): boolean {
  return existsSync(new URL(`./node_modules/postgres-${major}-linux-x64`, import.meta.url))
}
