/**
 * Runs the attacks of `rowhouse verify` against Rowhouse and its peers and writes docs/reference/peers.md.
 *
 * Uses the server that ROWHOUSE_ADMIN_URL (a superuser) and DATABASE_URL (`rowhouse_app`) name, or one of its own. What
 * it makes there, databases and a login, is gone at the end.
 */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import pg from 'pg'
import { install } from 'rowhouse/install'
import { startPostgres } from 'rowhouse-embedded'
import { compare, type Server } from './compare.ts'
import { renderPage, totals, totalsByFamily } from './report.ts'

const PAGE = new URL('../../../../docs/reference/peers.md', import.meta.url)

const { ROWHOUSE_ADMIN_URL, DATABASE_URL } = process.env
if (ROWHOUSE_ADMIN_URL !== undefined && DATABASE_URL !== undefined)
  await run({ adminUrl: ROWHOUSE_ADMIN_URL, appUrl: DATABASE_URL })
else await onOwnServer(run)

async function run(urls: Omit<Server, 'version'>): Promise<void> {
  const version = await versionOf(urls.adminUrl)
  const comparison = await compare({ ...urls, version }, ({ name, cells, ownKeys }) => {
    console.log(`${name}`)
    for (const [family, text] of totalsByFamily(cells)) console.log(`  ${family.padEnd(4)} ${text}`)
    console.log(`  ORA on its own keys: ${totals(ownKeys)}`)
  })
  await writeFile(PAGE, renderPage(comparison))
  console.log('Wrote docs/reference/peers.md')
}

async function onOwnServer(fn: typeof run): Promise<void> {
  const postgres = await startPostgres({ settings: { fsync: 'off' } })
  try {
    const password = randomBytes(16).toString('hex')
    await install({ url: postgres.url, rootKey: randomBytes(32).toString('hex'), appPassword: password })
    await fn({ adminUrl: postgres.url, appUrl: postgres.urlFor('postgres', { user: 'rowhouse_app', password }) })
  } finally {
    await postgres.stop()
  }
}

/** Major and minor, e.g. `18.4`: what packagers append is no part of the result. */
async function versionOf(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ server_version: string }>('show server_version')
    return (rows[0]?.server_version ?? '').split(' ')[0] ?? ''
  } finally {
    await client.end()
  }
}
