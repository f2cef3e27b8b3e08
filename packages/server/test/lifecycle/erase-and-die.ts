/** A process that erases one tenant and is killed by its parent while it does. */
import { openControlPlane } from '../../src/control-plane.ts'

const { CENTRAL_URL: url, ROOT_KEY: rootKey, MIGRATIONS: migrations = '' } = process.env
const plane = await openControlPlane({ url, rootKey, migrations })
await plane.lifecycle.erase(process.argv[2] ?? '', { by: 'Ada' })
await plane.close()
