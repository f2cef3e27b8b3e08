import { EmbeddedError, type EmbeddedPostgres, startPostgres } from 'rowhouse-embedded'
import type { HybridHomes } from 'rowhouse-example-freight'

const SETTINGS = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }

export interface SecondServer {
  readonly server: HybridHomes['second']
  stop(): Promise<void>
}

/** Starts a server of the oldest major, or of the newest where its binaries are missing, as `second`. */
export async function startSecondServer(appPassword: string): Promise<SecondServer> {
  const server = await startOlder()
  process.env.FREIGHT_SECOND_ADMIN_URL = server.url
  process.env.FREIGHT_SECOND_APP_URL = server.urlFor('postgres', { user: 'rowhouse_app', password: appPassword })
  return {
    server: {
      name: 'second',
      region: 'local',
      adminUrl: 'env:FREIGHT_SECOND_ADMIN_URL',
      appUrl: 'env:FREIGHT_SECOND_APP_URL',
    },
    stop: () => server.stop(),
  }
}

async function startOlder(): Promise<EmbeddedPostgres> {
  try {
    return await startPostgres({ major: 15, settings: SETTINGS })
  } catch (error) {
    if (error instanceof EmbeddedError && error.code === 'ERR_PLATFORM_UNSUPPORTED') {
      return startPostgres({ settings: SETTINGS })
    }
    throw error
  }
}
