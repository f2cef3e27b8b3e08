/**
 * Holds every `exports` entry to an existing source file, and the source to named, listed exports.
 *
 * Why: `source`, `types` and `default` of one entry are three paths to one file; when they drift, what is tested
 * here is not what is installed elsewhere. `export *` and default exports hide what a module gives away, and an
 * adapter that grows holds policy that belongs below it.
 */

import { existsSync } from 'node:fs'
import { join, posix } from 'node:path'
import ts from 'typescript'
import type { CheckResult } from './check-result.ts'
import { type RepoFile, readRepoFiles } from './repo-files.ts'
import { type ExportTargets, readWorkspacePackages, type WorkspacePackage } from './workspace-packages.ts'

/** Code lines of an adapter, without blank lines and comments: more than this is policy. */
const ADAPTER_LINES = 70

/** What loads a plugin of ESLint or oxlint takes its default export. */
const LOADED_BY_DEFAULT = 'packages/eslint-plugin/src/index.ts'

export function checkExports(root: string): CheckResult {
  const packages = readWorkspacePackages(root)
  const files = readRepoFiles(root, /^(packages|examples)\/[^/]+\/src\/.*\.tsx?$/)
  const problems = [
    ...packages.flatMap((each) => judgeEntries(each, (path) => existsSync(join(root, path)))),
    ...files.flatMap(judgeModule),
    ...files.filter((file) => isAdapter(file.path, packages)).flatMap(judgeAdapter),
  ]
  const entries = packages.reduce((sum, each) => sum + each.exports.size, 0)
  return { summary: `${entries} exports of ${packages.length} packages lead to their source by name`, problems }
}

/** Returns what is wrong with the `exports` of a package. */
export function judgeEntries(each: WorkspacePackage, exists: (path: string) => boolean): string[] {
  return [...each.exports].flatMap(([subpath, targets]) => {
    const at = `${each.folder}/package.json: entry "${subpath}"`
    const { source } = targets
    if (source === undefined) return [`${at} has no "source"; name the TypeScript file it is made from`]
    if (!exists(posix.join(each.folder, source))) return [`${at} leads to "${source}", which does not exist`]
    return each.private ? [] : findDrift(source, targets).map((drift) => `${at} ${drift}`)
  })
}

/** Returns what a module exports in a way that cannot be read off its own text. */
export function judgeModule(file: RepoFile): string[] {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true)
  return source.statements.flatMap((statement) => {
    const line = source.getLineAndCharacterOfPosition(statement.getStart()).line + 1
    if (isStarExport(statement)) return [`${file.path}:${line} has an "export *"; list the names`]
    if (isDefaultExport(statement) && file.path !== LOADED_BY_DEFAULT)
      return [`${file.path}:${line} has a default export; export it by name`]
    return []
  })
}

/** Returns a problem when an adapter is longer than an adapter needs to be. */
export function judgeAdapter(file: RepoFile): string[] {
  const lines = countCodeLines(file)
  if (lines < ADAPTER_LINES) return []
  return [`${file.path} has ${lines} lines of code; an adapter stays under ${ADAPTER_LINES}, policy belongs below it`]
}

function findDrift(source: string, { types, default: main }: ExportTargets): string[] {
  const built = source.replace(/^\.\/src\//, './dist/').replace(/\.tsx?$/, '')
  const drift: string[] = []
  if (types !== `${built}.d.ts`) drift.push(`has types "${types}"; wanted "${built}.d.ts", as built from its source`)
  if (main !== `${built}.js`) drift.push(`has default "${main}"; wanted "${built}.js", as built from its source`)
  return drift
}

function isAdapter(path: string, packages: readonly WorkspacePackage[]): boolean {
  return packages.some(({ folder, exports }) =>
    [...exports.values()].some(
      ({ source = '' }) => source.includes('/adapters/') && posix.join(folder, source) === path,
    ),
  )
}

function isStarExport(statement: ts.Statement): boolean {
  if (!ts.isExportDeclaration(statement)) return false
  return statement.exportClause === undefined || ts.isNamespaceExport(statement.exportClause)
}

function isDefaultExport(statement: ts.Statement): boolean {
  if (ts.isExportAssignment(statement)) return true
  if (ts.isExportDeclaration(statement) && statement.exportClause && ts.isNamedExports(statement.exportClause)) {
    return statement.exportClause.elements.some((element) => element.name.text === 'default')
  }
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined
  return modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword) ?? false
}

/** Counts the lines on which a token stands: the scanner skips blanks and comments. */
function countCodeLines(file: RepoFile): number {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true)
  const lines = new Set<number>()
  const visit = (node: ts.Node): void => {
    if (ts.isJSDoc(node)) return
    if (node.getChildCount(source) > 0) {
      for (const child of node.getChildren(source)) visit(child)
      return
    }
    if (node.kind === ts.SyntaxKind.EndOfFileToken || node.getWidth(source) === 0) return
    const first = source.getLineAndCharacterOfPosition(node.getStart(source)).line
    const last = source.getLineAndCharacterOfPosition(node.getEnd()).line
    for (let line = first; line <= last; line += 1) lines.add(line)
  }
  visit(source)
  return lines.size
}
