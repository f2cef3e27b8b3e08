/**
 * Holds what is written to what is there: docstrings, snippets, links, error codes, and no traces of a machine.
 *
 * Why: documentation rots silently. A snippet that does not compile or a link into nothing costs a reader more
 * than a missing page, and nobody but a reader would notice.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import type { CheckResult } from './check-result.ts'
import { compareErrorCodes, readErrorCodes, readErrorReference } from './error-codes.ts'
import { findBrokenLinks } from './markdown-links.ts'
import { readSnippets, typeCheckSnippets } from './markdown-snippets.ts'
import { findUndocumented } from './public-docstrings.ts'
import { listRepoPaths, type RepoFile, readRepoFiles } from './repo-files.ts'

/** Entries whose names all need docstrings. */
const PUBLIC_ENTRIES = ['packages/core/src/index.ts', 'packages/server/src/testing/index.ts']

/** Guides, examples and the front page promise code that works; other pages may show fragments. */
const COMPILED_PAGES = /^(README\.md|docs\/guides\/.*\.md|examples\/[^/]+\/README\.md)$/

/** Traces of one machine or one network: home folders, working folders, hosts packages came from. */
const TRACES: readonly RegExp[] = [
  /(?<![\w.~-])\/(?:work|root|home|Users)\/[\w.-]+/,
  /(?<![\w.~-])\/tmp\/(?:brief|bash)\w*/,
  /\bregistry\.[\w.-]*\.?(?:org|com|net|io|dev|local|internal)\b/i,
  /https?:\/\/[^\s"'`)]*(?:artifactory|verdaccio|nexus)[^\s"'`)]*/i,
]

/** Files of text in which a trace would be published. Images and the like have none. */
const TEXT =
  /\.(ts|tsx|mts|mjs|js|json|md|sql|sh|yml|yaml|toml|css|html)$|(^|\/)(\.npmrc|\.gitignore|\.ci\/run|LICENSE)$/

export function checkDocs(root: string): CheckResult {
  const pages = readRepoFiles(root, /\.md$/)
  const options = readCompilerOptions(root)
  const snippets = pages.filter((page) => COMPILED_PAGES.test(page.path)).flatMap(readSnippets)
  const entries = PUBLIC_ENTRIES.map((entry) => join(root, entry))
  const program = ts.createProgram(entries, options)
  const documented = entries.map((entry) => findUndocumented(program, entry))
  const names = documented.reduce((sum, { count }) => sum + count, 0)
  const problems = [
    ...documented.flatMap((each, n) => each.problems.map((problem) => `${PUBLIC_ENTRIES[n]}: ${problem}`)),
    ...typeCheckSnippets(root, snippets, options),
    ...findBrokenLinks(pages, new Set(listRepoPaths(root, /./))),
    ...compareReference(root),
    ...readRepoFiles(root, TEXT).flatMap(findTraces),
  ]
  const summary = `${names} public names, ${snippets.length} snippets and ${pages.length} pages say what is there`
  return { summary, problems }
}

/** Returns the lines of a file that name a folder or a host of the machine it was written on. */
export function findTraces(file: RepoFile): string[] {
  return file.text.split('\n').flatMap((line, index) => {
    const trace = TRACES.map((pattern) => pattern.exec(line)?.[0]).find((found) => found !== undefined)
    return trace === undefined ? [] : [`${file.path}:${index + 1} names "${trace}", which exists on one machine only`]
  })
}

function compareReference(root: string): string[] {
  const source = readErrorCodes(readFileSync(join(root, 'packages/core/src/errors.ts'), 'utf8'))
  const reference = readErrorReference(readFileSync(join(root, 'docs/reference/errors.md'), 'utf8'))
  return compareErrorCodes(source, reference).map((problem) => `docs/reference/errors.md: ${problem}`)
}

function readCompilerOptions(root: string): ts.CompilerOptions {
  const file = join(root, 'tsconfig.json')
  const { config } = ts.readConfigFile(file, ts.sys.readFile)
  return ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root).options
}
