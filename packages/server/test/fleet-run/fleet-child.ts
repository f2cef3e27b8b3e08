/** Migrates a fleet in a process of its own, so that a test can kill it. */

import { readMigrations } from '../../src/fleet/migration-folder.ts'
import { migrateUp } from '../../src/fleet/run.ts'
import { OperatorConnections } from '../../src/registry/operator-connections.ts'

const [url = '', folder = ''] = process.argv.slice(2)
const connections = new OperatorConnections(url)
await migrateUp(connections, await readMigrations(folder), { operator: 'killed', home: { lockTimeoutMs: 60_000 } })
await connections.close()
