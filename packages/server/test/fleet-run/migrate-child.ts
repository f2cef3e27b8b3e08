/** Migrates one home in a process of its own, so that a test can kill it. */

import pg from 'pg'
import { migrateHome } from '../../src/fleet/migrate-home.ts'
import { readMigrations } from '../../src/fleet/migration-folder.ts'

const [connectionString, schema, folder = ''] = process.argv.slice(2)
const client = new pg.Client({ connectionString, application_name: 'fleet-child' })
await client.connect()
await migrateHome(client, { schema }, await readMigrations(folder), { lockTimeoutMs: 60_000 })
await client.end()
