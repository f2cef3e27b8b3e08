/** Starts a server in the folder named, says where it is, and lives until it is killed: the process that dies in tests. */
import { startPostgres } from '../src/index.ts'

const { url, port, dataDir } = await startPostgres({ dataDir: process.argv[2] ?? '', settings: { fsync: 'off' } })
process.stdout.write(`${JSON.stringify({ url, port, dataDir })}\n`)
setInterval(() => {}, 60_000)
