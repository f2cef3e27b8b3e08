import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FreightDemo, type ProgressEvent, startFreightDemo } from 'rowhouse-example-freight'
import { createEmptyDatabase, type TestDatabase } from '../../../../packages/core/test/support/database.ts'
import { inTurn } from './in-turn.ts'

/** The demonstration on a database of its own, with three tenants and 300 shipments. */
export interface TestDemo {
  readonly database: TestDatabase
  readonly dataDir: string
  readonly port: number
  readonly events: readonly ProgressEvent[]
  /** Stops it and starts it again on the same data. */
  restart(): Promise<TestDemo>
  stop(): Promise<void>
  /** Stops it and removes everything. */
  drop(): Promise<void>
}

export const SHIPMENTS = 300
export const TENANTS = ['acme', 'globex', 'amber-anchor'] as const

export async function startTestDemo(): Promise<TestDemo> {
  const database = await createEmptyDatabase()
  const dataDir = await mkdtemp(join(tmpdir(), 'freight-'))
  // The login is one for the whole server: a password of our own would lock out the test files beside this one.
  const secrets = {
    rootKey: database.rootKey,
    appPassword: database.appPassword,
    sessionKey: randomBytes(32).toString('base64'),
  }
  await writeFile(join(dataDir, 'secrets.json'), JSON.stringify(secrets), { mode: 0o600 })
  return start(database, dataDir)
}

async function start(database: TestDatabase, dataDir: string): Promise<TestDemo> {
  const events: ProgressEvent[] = []
  const options = {
    port: 0,
    dataDir,
    tenants: TENANTS.length,
    shipments: SHIPMENTS,
    databaseUrl: database.adminUrl,
    onProgress: (event: ProgressEvent) => events.push(event),
  }
  const demo: FreightDemo = await inTurn(database.adminUrl, () => startFreightDemo(options))
  return {
    database,
    dataDir,
    events,
    port: Number(new URL(demo.urls[0] ?? '').port),
    restart: async () => {
      await demo.stop()
      return start(database, dataDir)
    },
    stop: () => demo.stop(),
    drop: async () => {
      await demo.stop()
      await database.drop()
      await rm(dataDir, { recursive: true })
    },
  }
}
