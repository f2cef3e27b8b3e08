/**
 * Holds the imports to the layers of ARCHITECTURE.md, and the number of cycles at zero.
 *
 * Why: a reader understands a file by reading it and what lies below it. One import upwards and that promise is
 * gone for everything in between. Imports of types count: they tie two files together as firmly as code does.
 */

import type { CheckResult } from './check-result.ts'
import { findCycles, type Import, type PackageEntries, readImports } from './import-graph.ts'
import { type RepoFile, readRepoFiles } from './repo-files.ts'
import { packageEntries, readWorkspacePackages } from './workspace-packages.ts'

/** Which packages the source of a package may import, by folder. What is not named may import none. */
const PACKAGE_ARROWS: Readonly<Record<string, readonly string[]>> = {
  'packages/core': [],
  'packages/embedded': [],
  // `rowhouse demo` starts the example of the checkout; it is loaded when asked for, and published without.
  'packages/cli': [
    'packages/core',
    'packages/embedded',
    'packages/proof',
    'packages/server',
    'packages/s3',
    'examples/freight',
  ],
  // Loaded when a store is a bucket, and published without.
  'packages/s3': ['packages/core', 'packages/server'],
  'packages/server': ['packages/core'],
  // What judges the core reaches it as its users do.
  'packages/proof': ['packages/core'],
  'packages/eslint-plugin': [],
  examples: ['packages/core', 'packages/embedded', 'packages/server'],
  bench: ['packages/core', 'packages/embedded', 'packages/proof', 'packages/server', 'examples/freight'],
}

/** Layers of packages/core/src, lowest first. Areas on one line do not import each other. */
const CORE_LAYERS: readonly (readonly string[])[] = [
  ['errors'],
  ['tenant'],
  ['context', 'postgres'],
  ['seal', 'resolve'],
  ['isolation', 'migrate'],
  ['rowhouse'],
  ['adapters', 'testing'],
  ['index', 'install'],
]

const CORE_SOURCE = 'packages/core/src/'

/** Tests share the server that the core's test support starts; no other file of another package is within reach. */
const SHARED_TEST_SUPPORT = 'packages/core/test/support/'

export function checkLayers(root: string): CheckResult {
  const files = readRepoFiles(root, /^(packages|examples|bench|tools)\/.*\.(ts|tsx|mts|mjs)$|^vitest\.config\.ts$/)
  return judgeLayers(files, packageEntries(readWorkspacePackages(root)))
}

/** The check itself, on files that need not exist. */
export function judgeLayers(files: readonly RepoFile[], entries: PackageEntries): CheckResult {
  const imports = readImports(files, entries)
  const known = new Set(files.map((file) => file.path))
  const problems = imports.flatMap((each) => findFault(each, entries, known) ?? [])
  const cycles = findCycles(imports.filter(({ to }) => to !== undefined && known.has(to)))
  for (const cycle of cycles) problems.push(`Files import each other in a circle: ${cycle.join(' → ')}`)
  return { summary: `${imports.length} imports of ${files.length} files go down the layers without a cycle`, problems }
}

function findFault(each: Import, entries: PackageEntries, known: ReadonlySet<string>): string | undefined {
  const at = `${each.from}:${each.line} imports "${each.specifier}":`
  if (each.to === undefined) {
    const name = each.specifier.split('/')[0] ?? ''
    return entries.has(name) ? `${at} package "${name}" has no such entry in its exports` : undefined
  }
  const from = packageOf(each.from)
  const to = packageOf(each.to)
  if (each.specifier.startsWith('.')) {
    if (!known.has(each.to) && !each.to.endsWith('.json'))
      return `${at} there is no file "${each.to}"; relative imports name the file with .ts`
    if (from !== to) return findRelativeFault(each, at)
    return isTest(each.from) ? undefined : findLayerFault(each, at)
  }
  if (isTest(each.from)) return undefined
  if (from === to) return `${at} a package imports its own files relatively, or its entry becomes part of a cycle`
  const allowed = PACKAGE_ARROWS[from] ?? PACKAGE_ARROWS[from.split('/')[0] ?? ''] ?? []
  return allowed.includes(to) ? undefined : `${at} ${from} may import ${allowed.join(', ') || 'no other package'}`
}

function findRelativeFault(each: Import, at: string): string | undefined {
  if (isTest(each.from) && (each.to?.startsWith(SHARED_TEST_SUPPORT) || each.to?.startsWith('tools/'))) return undefined
  if (each.from === 'vitest.config.ts' && each.to?.startsWith('tools/')) return undefined
  return `${at} another package is reached by its name and its exports, not by a path into it`
}

function findLayerFault(each: Import, at: string): string | undefined {
  if (!each.from.startsWith(CORE_SOURCE)) return undefined
  if (!each.to?.startsWith(CORE_SOURCE)) return `${at} source imports source only`
  const from = areaOf(each.from)
  const to = areaOf(each.to)
  if (from === to) return undefined
  const [fromRank, toRank] = [rankOf(from), rankOf(to)]
  if (fromRank < 0) return `${at} "${from}" is not in the table of layers; add it to CORE_LAYERS where it belongs`
  if (toRank < 0) return `${at} "${to}" is not in the table of layers; add it to CORE_LAYERS where it belongs`
  if (toRank < fromRank) return undefined
  return `${at} "${to}" lies ${toRank === fromRank ? 'beside' : 'above'} "${from}"; imports go down only`
}

/** Returns the folder of the package a path belongs to; the root's own files count as one package each folder. */
function packageOf(path: string): string {
  const [first = '', second = ''] = path.split('/')
  return first === 'packages' || first === 'examples' ? `${first}/${second}` : first
}

function isTest(path: string): boolean {
  return /\/test\//.test(path) || /\.test\.tsx?$/.test(path)
}

/** Returns the folder directly below core/src, or the file's name without its ending. */
function areaOf(path: string): string {
  return (path.slice(CORE_SOURCE.length).split('/')[0] ?? '').replace(/\.tsx?$/, '')
}

function rankOf(area: string): number {
  return CORE_LAYERS.findIndex((layer) => layer.includes(area))
}
