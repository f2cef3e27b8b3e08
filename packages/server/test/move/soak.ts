/**
 * Moves a tenant at random between all placements of two servers of different majors, under a load that remembers what was
 * acknowledged: `npm run soak:moves -- --count 1000 [--seed 7]`. Prints one line of JSON; exit code 1 when anything was lost.
 */

import { parseArgs } from 'node:util'
import { createRowhouse } from 'rowhouse'
import { install } from 'rowhouse/install'
import { startPostgres } from 'rowhouse-embedded'
import { openControlPlane } from '../../src/control-plane.ts'
import { SETTINGS, writeSchema } from '../support/platform.ts'
import { HISTORY_SCHEMA } from './history.ts'
import { runMoves } from './run-moves.ts'

const { values } = parseArgs({
  options: { count: { type: 'string', default: '1000' }, seed: { type: 'string', default: '7' } },
})
const rootKey = Buffer.alloc(32, 7).toString('base64')
const appPassword = 'soak'
const [main, old] = await Promise.all([
  startPostgres({ major: 18, settings: SETTINGS }),
  startPostgres({ major: 15, settings: SETTINGS }),
])
const { folder, remove } = await writeSchema(HISTORY_SCHEMA)
const appUrl = (url: string) => Object.assign(new URL(url), { username: 'rowhouse_app', password: appPassword }).href
try {
  await install({ url: main.url, rootKey, appPassword })
  process.env.SOAK_ADMIN_URL = old.url
  process.env.SOAK_APP_URL = appUrl(old.url)
  await install({ url: old.url, rootKey, appPassword })
  const plane = await openControlPlane({ url: main.url, rootKey, migrations: folder })
  await plane.servers.equip('main')
  await plane.servers.add({ name: 'old-1', region: 'eu', appUrl: 'env:SOAK_APP_URL', adminUrl: 'env:SOAK_ADMIN_URL' })
  await plane.provision({ slug: 'mover', wish: { model: 'pooled', server: 'main' } })
  const app = await createRowhouse({ url: appUrl(main.url), rootKey })
  const result = await runMoves(plane, app, { count: Number(values.count), seed: Number(values.seed) })
  process.stdout.write(`${JSON.stringify(result)}\n`)
  process.exitCode = result.lost + result.duplicated + result.stale + result.orphans === 0 ? 0 : 1
  await app.close()
  await plane.close()
} finally {
  await Promise.all([main.stop(), old.stop()])
  await remove()
}
