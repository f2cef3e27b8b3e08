#!/usr/bin/env node
import { run } from './run.ts'

// Deprecations are for whoever writes code: the journal's library queries a client twice at once, which pg announces.
Object.assign(process, { noDeprecation: true })

// Whoever reads the output may stop early, as `head` does: then there is nobody left to write for.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

const ending = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort())

process.exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  signal: ending.signal,
})
