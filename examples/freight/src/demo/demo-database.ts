import { join } from 'node:path'
import { startPostgres } from 'rowhouse-embedded'
import type { ReportProgress } from '../progress.ts'
import { withClient } from '../schema.ts'
import type { DemoSecrets } from './demo-secrets.ts'

export interface DemoDatabase {
  /** Operator's login: installs, protects, makes tenants. */
  readonly adminUrl: string
  /** The application's login, `rowhouse_app`. */
  readonly appUrl: string
  stop(): Promise<void>
}

const NAME = 'freight'

/**
 * Settings of the demonstration's own server. With fsync off a power cut may destroy the data, which can be made anew
 * in a minute; it makes the first start about a third shorter. Never do this with data somebody needs.
 */
const SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  max_wal_size: '4GB',
  shared_buffers: '256MB',
}

/** Returns the given database, or one on a PostgreSQL of our own in `dataDir`. */
export async function openDemoDatabase(
  dataDir: string,
  databaseUrl: string | undefined,
  { appPassword: password }: DemoSecrets,
  onProgress: ReportProgress,
): Promise<DemoDatabase> {
  const login = { user: 'rowhouse_app', password }
  if (databaseUrl !== undefined) {
    onProgress({ step: 'database', note: 'using the given database' })
    return { adminUrl: databaseUrl, appUrl: withLogin(databaseUrl, login), stop: async () => {} }
  }
  const server = await startPostgres({
    dataDir: join(dataDir, 'postgres'),
    settings: SETTINGS,
    onProgress: (note) => onProgress({ step: 'database', note }),
  })
  try {
    await createDatabase(server.url)
  } catch (error) {
    await server.stop()
    throw error
  }
  return { adminUrl: server.urlFor(NAME), appUrl: server.urlFor(NAME, login), stop: () => server.stop() }
}

async function createDatabase(url: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [NAME])
    if (rowCount === 0) await client.query(`create database ${NAME}`)
  })
}

function withLogin(databaseUrl: string, { user, password }: { user: string; password: string }): string {
  const url = new URL(databaseUrl)
  url.username = user
  url.password = password
  return url.href
}
