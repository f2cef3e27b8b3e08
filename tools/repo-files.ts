import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A file of the repository, with its path relative to the root and `/` between folders. */
export interface RepoFile {
  readonly path: string
  readonly text: string
}

/**
 * Lists what belongs to the repository: tracked files and new ones that are not ignored, sorted.
 *
 * New files count so that a check says the same before and after the commit.
 */
export function listRepoPaths(root: string, matching: RegExp): string[] {
  const git = ['ls-files', '--cached', '--others', '--exclude-standard', '-z']
  const output = execFileSync('git', git, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  const paths = new Set(output.split('\0').filter((path) => path !== '' && matching.test(path)))
  return [...paths].filter((path) => existsSync(join(root, path))).sort()
}

/** Reads the files of the repository whose path matches. */
export function readRepoFiles(root: string, matching: RegExp): RepoFile[] {
  return listRepoPaths(root, matching).map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}
