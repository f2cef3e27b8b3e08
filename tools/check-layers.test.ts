import { describe, expect, it } from 'vitest'
import { judgeLayers } from './check-layers.ts'

const entries = new Map([
  ['rowhouse', 'packages/core/src/index.ts'],
  ['rowhouse-embedded', 'packages/embedded/src/index.ts'],
])

/** A tree without a fault; each case adds one. */
const sound = {
  'packages/core/src/errors.ts': 'export const a = 1',
  'packages/core/src/seal/seal.ts': `import { a } from '../errors.ts'\nexport const seal = a`,
  'packages/core/src/resolve/host.ts': 'export const host = 1',
  'packages/core/src/index.ts': `export { seal } from './seal/seal.ts'`,
  'packages/embedded/src/index.ts': 'export const start = 1',
  'packages/cli/src/main.ts': `import { seal } from 'rowhouse'\nimport { start } from 'rowhouse-embedded'`,
}

function judge(files: Record<string, string>): readonly string[] {
  const all = Object.entries({ ...sound, ...files }).map(([path, text]) => ({ path, text }))
  return judgeLayers(all, entries).problems
}

describe('check-layers', () => {
  it('finds nothing in a tree whose imports go down', () => {
    expect(judge({})).toEqual([])
  })

  it.each([
    [
      'an import upwards',
      { 'packages/core/src/tenant/slug.ts': `import { seal } from '../index.ts'` },
      '"index" lies above "tenant"',
    ],
    [
      'an import of a type upwards',
      { 'packages/core/src/tenant/tenant.ts': `import type { S } from '../seal/seal.ts'` },
      '"seal" lies above "tenant"',
    ],
    [
      'a type named in place',
      { 'packages/core/src/tenant/tenant.ts': `export type T = import('../seal/seal.ts').S` },
      '"seal" lies above "tenant"',
    ],
    [
      'a dynamic import upwards',
      { 'packages/core/src/tenant/tenant.ts': `export const x = () => import('../seal/seal.ts')` },
      '"seal" lies above "tenant"',
    ],
    [
      'an import sideways',
      { 'packages/core/src/seal/seal.ts': `import { host } from '../resolve/host.ts'` },
      '"resolve" lies beside "seal"',
    ],
    [
      'an area nobody placed',
      { 'packages/core/src/helpers/a.ts': `import { a } from '../errors.ts'` },
      '"helpers" is not in the table of layers',
    ],
    [
      'a package that may not be imported',
      { 'packages/core/src/seal/boot.ts': `import 'rowhouse-embedded'` },
      'packages/core may import no other package',
    ],
    [
      'a package that imports itself by name',
      { 'packages/core/src/testing/x.ts': `import 'rowhouse'` },
      'a package imports its own files relatively',
    ],
    [
      'a path into another package',
      { 'packages/cli/src/other.ts': `import '../../core/src/errors.ts'` },
      'reached by its name and its exports',
    ],
    [
      'a path into another package from a test',
      { 'packages/cli/test/x.test.ts': `import '../../core/src/errors.ts'` },
      'reached by its name and its exports',
    ],
    ['an entry that does not exist', { 'bench/main.ts': `import 'rowhouse/secret'` }, 'no such entry in its exports'],
    ['a file that does not exist', { 'bench/main.ts': `import './gone.ts'` }, 'there is no file "bench/gone.ts"'],
    [
      'a circle',
      {
        'packages/core/src/resolve/host.ts': `import './port.ts'`,
        'packages/core/src/resolve/port.ts': `import type { H } from './host.ts'`,
      },
      'Files import each other in a circle: packages/core/src/resolve/host.ts → packages/core/src/resolve/port.ts',
    ],
    ['a file that imports itself', { 'bench/main.ts': `import './main.ts'` }, 'in a circle: bench/main.ts'],
  ])('finds %s', (_, files, problem) => {
    expect(judge(files)).toEqual([expect.stringContaining(problem)])
  })

  it('lets a test reach the shared test support and any file of its own package', () => {
    const files = {
      'packages/core/test/support/database.ts': `import 'rowhouse-embedded'`,
      'packages/core/test/a.test.ts': `import '../src/index.ts'`,
      'packages/cli/test/a.test.ts': `import '../../core/test/support/database.ts'`,
    }
    expect(judge(files)).toEqual([])
  })

  it('is not fooled by an import in a comment or a string', () => {
    expect(
      judge({ 'packages/core/src/errors.ts': `// import './index.ts'\nexport const s = "import './index.ts'"` }),
    ).toEqual([])
  })
})
