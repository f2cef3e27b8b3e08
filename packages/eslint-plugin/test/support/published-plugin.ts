import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const PACKAGE = fileURLToPath(new URL('../../', import.meta.url))

/** A folder like a user's project, in which the plugin is what would be published. */
export interface Project {
  readonly folder: string
  write(file: string, text: string): Promise<void>
  /** Runs a linter there. Returns what it printed and its exit code. */
  lint(tool: 'eslint' | 'oxlint', args: readonly string[]): Promise<{ code: number; output: string }>
  remove(): Promise<void>
}

const require = createRequire(import.meta.url)
const BINARIES = {
  eslint: join(dirname(require.resolve('eslint/package.json')), 'bin/eslint.js'),
  oxlint: join(dirname(require.resolve('oxlint/package.json')), 'bin/oxlint'),
}

/** Builds the plugin into `plugin/` of a new project; linters are those of this workspace. */
export async function createProject(): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'rowhouse-lint-'))
  const tsc = join(ROOT, 'node_modules/.bin/tsc')
  await run(tsc, [
    '-p',
    join(PACKAGE, 'tsconfig.build.json'),
    '--outDir',
    join(folder, 'plugin'),
    '--composite',
    'false',
  ])
  await writeFile(join(folder, 'package.json'), '{ "type": "module", "private": true }\n')
  // The parser is found from the project as it would be after an installation.
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  return {
    folder,
    write: (file, text) => writeFile(join(folder, file), text),
    lint: async (tool, args) => {
      try {
        const { stdout } = await run(process.execPath, [BINARIES[tool], ...args], { cwd: folder, maxBuffer: 1 << 24 })
        return { code: 0, output: stdout }
      } catch (error) {
        const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
        return { code, output: stdout === '' ? stderr : stdout }
      }
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
