/** A process that moves many tenants; a test kills it, or runs it beside another one. */

import { openControlPlane } from '../../src/control-plane.ts'

const { CENTRAL_URL, ROOT_KEY, MIGRATIONS = '' } = process.env
const plane = await openControlPlane({ url: CENTRAL_URL, rootKey: ROOT_KEY, migrations: MIGRATIONS })
await plane.moves.many.start(JSON.parse(process.argv[2] ?? ''))
await plane.close()
