import { join, resolve } from 'node:path'
import { install } from 'rowhouse/install'
import { EmbeddedError, type EmbeddedPostgres, startPostgres } from 'rowhouse-embedded'
import type { ServerToAdd } from 'rowhouse-server'
import { type DemoSecrets, writeSecret } from './demo-secrets.ts'

export interface DemoServers {
  readonly adminUrl: string
  readonly appUrl: string
  readonly secondAdminUrl: string
  /** Besides the central one. */
  readonly further: ServerToAdd
  /** E.g. `['18.4', '15.18']`. */
  readonly versions: readonly string[]
  stop(): Promise<void>
}

/** With fsync off a power cut may destroy the data, which can be made anew in seconds. Never do this with data somebody needs. */
const SETTINGS = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', shared_buffers: '64MB' }

/** Starts two servers, of two majors where the binaries of an older one are installed, and installs Rowhouse on the first. */
export async function startDemoServers(dataDir: string, secrets: DemoSecrets): Promise<DemoServers> {
  const main = await startPostgres({ dataDir: join(dataDir, 'main'), settings: SETTINGS })
  try {
    const second = await startOlder(dataDir)
    const login = { user: 'rowhouse_app', password: secrets.appPassword }
    const reference = async (name: string, url: string) => {
      const file = resolve(dataDir, `${name}.url`)
      await writeSecret(file, url)
      return `file:${file}`
    }
    await install({ url: main.url, rootKey: secrets.rootKey, appPassword: secrets.appPassword })
    return {
      adminUrl: main.url,
      appUrl: main.urlFor('postgres', login),
      secondAdminUrl: second.url,
      further: {
        name: 'second',
        region: 'local',
        adminUrl: await reference('second-admin', second.url),
        appUrl: await reference('second-app', second.urlFor('postgres', login)),
      },
      versions: [main.serverVersion, second.serverVersion],
      stop: async () => {
        await Promise.all([main.stop(), second.stop()])
      },
    }
  } catch (error) {
    await main.stop()
    throw error
  }
}

async function startOlder(dataDir: string): Promise<EmbeddedPostgres> {
  const start = (major: 15 | 18) =>
    startPostgres({ major, dataDir: join(dataDir, `second-${major}`), settings: SETTINGS })
  try {
    return await start(15)
  } catch (error) {
    // The binaries of older majors are there for development on Linux only.
    if (error instanceof EmbeddedError && error.code === 'ERR_PLATFORM_UNSUPPORTED') return start(18)
    throw error
  }
}
