import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { CheckResult } from './check-result.ts'

/** An installed command that judges the repository, and how to read its complaints. */
export interface Tool {
  /** Package that brings the command. */
  readonly package: string
  readonly command: string
  readonly args: readonly string[]
  /** What is true when the command is content. */
  readonly summary: string
  /** Turns the lines it printed into one line per problem. */
  readonly readProblems: (lines: readonly string[], root: string) => string[]
}

/** Runs a command with this Node; its exit code decides, its output explains. */
export function runTool(root: string, { package: name, command, args, summary, readProblems }: Tool): CheckResult {
  const packageJson = join(root, 'node_modules', name, 'package.json')
  const { bin } = JSON.parse(readFileSync(packageJson, 'utf8')) as { bin: string | Record<string, string> }
  const script = typeof bin === 'string' ? bin : bin[command]
  if (script === undefined) throw new Error(`Cannot run "${command}": its package has no such command`)
  const argv = [join(dirname(packageJson), script), ...args]
  const result = spawnSync(process.execPath, argv, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  if (result.error !== undefined) throw result.error
  if (result.status === 0) return { summary, problems: [] }
  const lines = `${result.stdout}\n${result.stderr}`.split('\n').filter((line) => line.trim() !== '')
  const problems = readProblems(lines, root)
  if (problems.length > 0) return { summary, problems }
  // The command failed in a way its reader does not know: everything it said is the problem.
  return { summary, problems: [`"${command}" ended with exit code ${result.status}`, ...lines] }
}

export const typeChecker: Tool = {
  package: 'typescript',
  command: 'tsc',
  args: ['-p', 'tsconfig.json', '--pretty', 'false'],
  summary: 'The compiler agrees with every file',
  // The lines that explain an error further are indented and belong to the one before.
  readProblems: (lines) =>
    lines
      .join('\n')
      .split(/\n(?=\S)/)
      .filter((problem) => problem.includes('error TS')),
}

export const linter: Tool = {
  package: '@biomejs/biome',
  command: 'biome',
  args: ['check', '--error-on-warnings', '--max-diagnostics=none', '--reporter=github', '.'],
  summary: 'Every file is formatted and free of findings',
  readProblems: (lines, root) =>
    lines.flatMap((line) => {
      const match = /^::(?:error|warning) title=([^,]*),file=([^,]*),line=(\d+)[^:]*::(.*)$/.exec(line)
      if (match === null) return []
      const [, rule, file = '', at, message] = match
      return [`${file.replace(`${root}/`, '')}:${at} ${message} (${rule})`]
    }),
}

export const deadCodeFinder: Tool = {
  package: 'knip',
  command: 'knip',
  args: ['--reporter', 'compact', '--no-progress'],
  summary: 'Every file, export and dependency is used',
  // A heading such as "Unused files (2)" stands above its lines; a file without names repeats itself.
  readProblems(lines) {
    let heading = ''
    return lines.flatMap((line) => {
      const found = /^([A-Z][^:]*) \(\d+\)$/.exec(line)?.[1]
      if (found === undefined) return heading === '' ? [] : [`${heading}: ${line.replace(/^(.+): \1$/, '$1')}`]
      heading = found
      return []
    })
  },
}
