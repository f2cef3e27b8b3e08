/**
 * `npm run journey [-- --shipments 200] [--weaken]`: exits with 0 when nothing is wrong, and with 1 otherwise. With
 * `--weaken` something has to be: that is how it is known to look.
 */

import { parseArgs } from 'node:util'
import { openJourney } from './journey.ts'
import { tellEnd } from './tell.ts'

const USAGE = 'npm run journey -- [--shipments 200] [--weaken]'
const MAX_SHIPMENTS = 100_000

Object.assign(process, { noDeprecation: true })
const say = (line: string) => process.stdout.write(`${line}\n`)
const options = readArguments()
const journey = await openJourney(say)
try {
  const report = await journey.travel(options)
  tellEnd(report, say)
  process.exitCode = report.ok ? 0 : 1
} finally {
  await journey.close()
}

function readArguments(): { readonly shipments: number; readonly weaken: boolean } {
  try {
    const options = {
      shipments: { type: 'string', default: '200' },
      weaken: { type: 'boolean', default: false },
    } as const
    const { values } = parseArgs({ options })
    const shipments = Number(values.shipments)
    if (Number.isInteger(shipments) && shipments >= 1 && shipments <= MAX_SHIPMENTS)
      return { shipments, weaken: values.weaken }
    throw new RangeError(`--shipments is ${values.shipments}; wanted a whole number from 1 to ${MAX_SHIPMENTS}`)
  } catch (error) {
    process.stderr.write(`Cannot travel: ${(error as Error).message}\n${USAGE}\n`)
    process.exit(2)
  }
}
