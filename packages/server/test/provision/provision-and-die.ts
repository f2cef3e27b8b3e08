/** A process that provisions one tenant and is killed by its parent while it does. */
import { openControlPlane } from '../../src/control-plane.ts'
import { waitingStep } from './waiting-step.ts'

const request = JSON.parse(process.argv[2] ?? '{}')
const { CENTRAL_URL: url, ROOT_KEY: rootKey, MIGRATIONS: migrations = '' } = process.env
const plane = await openControlPlane({ url, rootKey, migrations, steps: [waitingStep] })
await plane.provision(request)
await plane.close()
