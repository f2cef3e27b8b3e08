/** Runs the demonstration until it is told to stop: `node --conditions=source --import tsx examples/brokerage/src/main.ts`. */

import { startBrokerageDemo } from './demo/start-brokerage-demo.ts'

const demo = await startBrokerageDemo({ onProgress: (line) => process.stderr.write(`${line}\n`) })
for (const url of demo.urls) process.stdout.write(`${url}\n`)
for (const { name, broker, url } of demo.letters) process.stdout.write(`Invitation of ${name} at ${broker}: ${url}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void demo.stop())
