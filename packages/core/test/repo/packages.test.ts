import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readRepoFiles } from '../../../../tools/repo-files.ts'
import { root } from './repository.ts'

interface Lock {
  readonly packages: Record<string, { resolved?: string; integrity?: string; link?: boolean }>
}

const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock
const installed = Object.entries(lock.packages).filter(([path, { link }]) => path.includes('node_modules/') && !link)

describe('dependencies', () => {
  it('come from no fixed address, because a lockfile with hosts installs from one network only', () => {
    const hosts = installed.filter(([, { resolved }]) => resolved !== undefined).map(([path]) => path)
    expect(installed.length).toBeGreaterThan(100)
    expect(hosts).toEqual([])
  })

  it('are pinned by their hash, because a version can be published again', () => {
    expect(installed.filter(([, { integrity }]) => integrity === undefined).map(([path]) => path)).toEqual([])
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
