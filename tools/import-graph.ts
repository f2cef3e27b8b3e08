import { posix } from 'node:path'
import ts from 'typescript'
import type { RepoFile } from './repo-files.ts'

/** One import as it is written, static, dynamic or of types only. */
export interface Import {
  readonly from: string
  readonly line: number
  readonly specifier: string
  /** Path of the imported file inside the repository; undefined for a package from outside. */
  readonly to: string | undefined
}

/** Source file of each entry of the workspace's packages, e.g. `rowhouse/hono` → `packages/core/src/adapters/hono.ts`. */
export type PackageEntries = ReadonlyMap<string, string>

/** Returns every import of the files, read by the TypeScript parser, so that comments and strings cannot fool it. */
export function readImports(files: readonly RepoFile[], entries: PackageEntries): Import[] {
  return files.flatMap((file) =>
    ts.preProcessFile(file.text, true, true).importedFiles.map(({ fileName, pos }) => ({
      from: file.path,
      line: file.text.slice(0, pos).split('\n').length,
      specifier: fileName,
      to: resolve(file.path, fileName, entries),
    })),
  )
}

/** Returns the groups of files that import each other in a circle (strongly connected components, Tarjan 1972). */
export function findCycles(imports: readonly Import[]): string[][] {
  const targets = new Map<string, string[]>()
  for (const { from, to } of imports) if (to !== undefined) targets.set(from, [...(targets.get(from) ?? []), to])

  const order = new Map<string, number>()
  const stack: string[] = []
  const cycles: string[][] = []

  function visit(file: string): number {
    const index = order.size
    order.set(file, index)
    stack.push(file)
    let low = index
    for (const target of targets.get(file) ?? []) {
      if (target === file) cycles.push([file])
      if (!order.has(target)) low = Math.min(low, visit(target))
      else if (stack.includes(target)) low = Math.min(low, order.get(target) ?? low)
    }
    if (low === index) {
      const group = stack.splice(stack.indexOf(file))
      if (group.length > 1) cycles.push(group)
    }
    return low
  }

  for (const file of targets.keys()) if (!order.has(file)) visit(file)
  return cycles
}

function resolve(from: string, specifier: string, entries: PackageEntries): string | undefined {
  if (specifier.startsWith('.')) return posix.normalize(posix.join(posix.dirname(from), specifier))
  return entries.get(specifier)
}
