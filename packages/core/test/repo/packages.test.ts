import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readRepoFiles } from '../../../../tools/repo-files.ts'
import { root } from './repository.ts'

interface Lock {
  readonly packages: Record<string, LockedPackage>
}

interface LockedPackage {
  readonly resolved?: string
  readonly integrity?: string
  readonly link?: boolean
  /** Platforms the package is for; all when absent. */
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
}

const header = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header
const libcHere = header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'

const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock
const installed = Object.entries(lock.packages).filter(([path, { link }]) => path.includes('node_modules/') && !link)

describe('dependencies', () => {
  it('come from no fixed address, because a lockfile with hosts installs from one network only', () => {
    const hosts = installed.filter(([, { resolved }]) => resolved !== undefined).map(([path]) => path)
    expect(installed.length).toBeGreaterThan(100)
    expect(hosts).toEqual([])
  })

  it('of this platform are pinned by their hash, because what a name leads to can be exchanged', () => {
    const unpinned = installed.filter(([, each]) => isForThisPlatform(each) && each.integrity === undefined)
    expect(unpinned.map(([path]) => path)).toEqual([])
  })

  it('run no install script, because that is how a package takes over a machine', () => {
    expect(readFileSync(join(root, '.npmrc'), 'utf8').split('\n')).toContain('ignore-scripts=true')
  })

  it('have exact versions, because two clones of one commit must behave the same', () => {
    const ranges = readRepoFiles(root, /(^|\/)package\.json$/).flatMap(({ path, text }) => {
      const json = JSON.parse(text) as Record<string, Record<string, string>>
      return ['dependencies', 'devDependencies', 'optionalDependencies']
        .flatMap((field) => Object.entries(json[field] ?? {}))
        .filter(([, version]) => !/^(npm:(@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+[\w.+-]*$/.test(version))
        .map(([name, version]) => `${path}: ${name}@${version}`)
    })
    expect(ranges).toEqual([])
  })
})

function isForThisPlatform({ os, cpu, libc }: LockedPackage): boolean {
  return (
    (os?.includes(process.platform) ?? true) &&
    (cpu?.includes(process.arch) ?? true) &&
    (libc?.includes(libcHere) ?? true)
  )
}
