/**
 * Runs one of the scripts of this workspace: `node tools/run.mjs <demo|test|check|bench|verify|fuzz|inject|fleet|journey|test:long|soak:moves> [args…]`.
 *
 * Plain JavaScript without dependencies, because it is what makes a fresh clone work: it refuses an old Node with
 * one sentence, installs the packages when they are missing or the lockfile changed, then hands over to the script.
 * Arguments, exit code and signals pass through unchanged.
 */

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stampFile = join(root, 'node_modules', '.rowhouse-lock-sha256')

/** Lowest Node that runs everything here: 20.19 is the first 20 that loads ES modules from CommonJS without a flag. */
const WANTED_NODE = [20, 19]

/** TypeScript is run from source: the condition picks `source` in the exports of the workspace's packages. */
const typescript = ['--conditions=source', '--import', 'tsx']

/** What to start for each script. Each entry is the argument list of `node`. */
const scripts = {
  demo: [...typescript, 'packages/cli/src/main.ts', 'demo'],
  test: ['node_modules/vitest/vitest.mjs', 'run'],
  'test:long': ['node_modules/vitest/vitest.mjs', 'run'],
  check: [...typescript, 'tools/check.ts'],
  bench: [...typescript, 'bench/main.ts'],
  verify: [...typescript, 'packages/cli/src/main.ts', 'verify', '--example', 'freight'],
  fuzz: [...typescript, 'packages/cli/src/main.ts', 'fuzz'],
  inject: [...typescript, 'packages/cli/src/main.ts', 'inject'],
  fleet: [...typescript, 'packages/cli/test/fleet-demo.ts'],
  journey: [...typescript, 'examples/freight/src/journey/main.ts'],
  'soak:moves': [...typescript, 'packages/server/test/move/soak.ts'],
}

requireNode(process.versions.node)
const [name, ...args] = process.argv.slice(2)
if (name === undefined || !Object.hasOwn(scripts, name)) {
  fail(64, `Cannot run "${name ?? ''}": wanted one of ${Object.keys(scripts).join(', ')}`)
}
if (name === 'test:long') process.env.ROWHOUSE_TEST_LONG = '1'
installWhenNeeded()
run([...scripts[name], ...args])

function requireNode(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [wantedMajor, wantedMinor] = WANTED_NODE
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return
  fail(78, `Cannot run on Node ${version}: wanted ${WANTED_NODE.join('.')} or newer; install one and run this again`)
}

function installWhenNeeded() {
  const lock = readFileSync(join(root, 'package-lock.json'))
  const hash = createHash('sha256').update(lock).digest('hex')
  if (readIfThere(stampFile) === hash) return
  if (!installedMatches(JSON.parse(lock))) install()
  writeFileSync(stampFile, hash)
}

/**
 * Tells whether the packages on disk are those of the lockfile, by the list npm keeps of what it installed.
 * Spares the second installation of somebody who ran `npm ci` by hand.
 */
function installedMatches(lock) {
  const list = readIfThere(join(root, 'node_modules', '.package-lock.json'))
  if (list === undefined) return false
  const installed = JSON.parse(list).packages
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (!path.includes('node_modules/') || wanted.optional === true) return true
    const found = installed[path]
    return found !== undefined && found.version === wanted.version && found.integrity === wanted.integrity
  })
}

function install() {
  process.stderr.write('Installing dependencies (about 1 GB of packages, once)…\n')
  const started = performance.now()
  const result = spawnSync('npm', ['ci'], { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' })
  if (result.error !== undefined) fail(69, `Cannot install dependencies: npm did not start (${result.error.message})`)
  if (result.signal !== null) process.kill(process.pid, result.signal)
  if (result.status !== 0) fail(69, `Cannot install dependencies: "npm ci" ended with exit code ${result.status}`)
  process.stderr.write(`Installed dependencies in ${((performance.now() - started) / 1000).toFixed(0)} s\n`)
}

function run(nodeArgs) {
  const script = nodeArgs.find((arg) => /\.(ts|mjs)$/.test(arg))
  if (!existsSync(join(root, script))) fail(70, `Cannot run "${name}": the file "${script}" is missing`)
  const child = spawn(process.execPath, nodeArgs, { cwd: root, stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => passOn(child, signal))
  child.on('error', (error) => fail(69, `Cannot run "${name}": ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

/**
 * Gives the child a signal this process received, and waits for it to end, so that none is left behind.
 * Ctrl-C on a terminal reaches the whole group already, and a second SIGINT would cut its clean-up short.
 */
function passOn(child, signal) {
  if (signal === 'SIGINT' && process.stdin.isTTY) return
  child.kill(signal)
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

function fail(exitCode, message) {
  process.stderr.write(`${message}\n`)
  process.exit(exitCode)
}
