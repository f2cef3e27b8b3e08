import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const script = join(dirname(fileURLToPath(import.meta.url)), 'run.mjs')

function run(args: readonly string[], nodeArgs: readonly string[] = []) {
  // A run inside a run: the outer one's settings must not reach it.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')))
  return spawnSync(process.execPath, [...nodeArgs, script, ...args], { encoding: 'utf8', env })
}

describe('run.mjs', () => {
  it('refuses a script it does not know', () => {
    const { status, stderr } = run(['tset'])
    expect({ status, stderr }).toEqual({
      status: 64,
      stderr:
        'Cannot run "tset": wanted one of demo, test, test:long, check, bench, verify, fuzz, inject, fleet, journey, soak:moves\n',
    })
  })

  it('refuses an old Node before anything else', () => {
    const pretend = 'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.18.3"})'
    const { status, stderr } = run(['test'], ['--import', pretend])
    expect({ status, stderr }).toEqual({
      status: 78,
      stderr: 'Cannot run on Node 20.18.3: wanted 20.19 or newer; install one and run this again\n',
    })
  })

  it('passes arguments on, fails when no test ran, and ends with the closing line', () => {
    const { status, stdout } = run(['test', '--project', 'unit', 'no-such-file'])
    expect(status).toBe(1)
    expect(stdout.split('\n').slice(-2)).toEqual(['0 passed, 1 failed, 0 skipped', ''])
  })
})
