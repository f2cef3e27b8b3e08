import { posix } from 'node:path'
import type { PackageEntries } from './import-graph.ts'
import { type RepoFile, readRepoFiles } from './repo-files.ts'

/** Where one entry of a package's `exports` points. */
export interface ExportTargets {
  readonly source?: string
  readonly types?: string
  readonly default?: string
}

/** A package of the workspace, as far as the checks need it. */
export interface WorkspacePackage {
  /** Folder inside the repository, e.g. `packages/core`. */
  readonly folder: string
  readonly name: string
  readonly private: boolean
  /** By subpath: `.`, `./hono` … */
  readonly exports: ReadonlyMap<string, ExportTargets>
}

/** Reads the packages below `packages/`, `examples/` and `bench`. */
export function readWorkspacePackages(root: string): WorkspacePackage[] {
  return readRepoFiles(root, /^(packages\/[^/]+|examples\/[^/]+|bench)\/package\.json$/).map(parsePackage)
}

/** Maps what an import may say (`rowhouse`, `rowhouse/hono`) to the source file behind it. */
export function packageEntries(packages: readonly WorkspacePackage[]): PackageEntries {
  const entries = new Map<string, string>()
  for (const { folder, name, exports } of packages) {
    for (const [subpath, { source }] of exports) {
      if (source !== undefined) entries.set(posix.join(name, subpath), posix.join(folder, source))
    }
  }
  return entries
}

function parsePackage(file: RepoFile): WorkspacePackage {
  const json = JSON.parse(file.text) as {
    name: string
    private?: boolean
    exports?: Record<string, ExportTargets | string>
  }
  const exports = Object.entries(json.exports ?? {}).map(
    ([subpath, target]) => [subpath, typeof target === 'string' ? { default: target } : target] as const,
  )
  return {
    folder: posix.dirname(file.path),
    name: json.name,
    private: json.private ?? false,
    exports: new Map(exports),
  }
}
