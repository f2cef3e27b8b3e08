import { describe, expect, it } from 'vitest'
import { judgeAdapter, judgeEntries, judgeModule } from './check-exports.ts'
import type { ExportTargets } from './workspace-packages.ts'

function judge(targets: ExportTargets): string[] {
  const each = { folder: 'packages/core', name: 'rowhouse', private: false, exports: new Map([['./hono', targets]]) }
  return judgeEntries(each, (path) => path === 'packages/core/src/adapters/hono.ts')
}

const sound = {
  source: './src/adapters/hono.ts',
  types: './dist/adapters/hono.d.ts',
  default: './dist/adapters/hono.js',
}

describe('check-exports', () => {
  it('finds nothing in an entry whose three paths are one file', () => {
    expect(judge(sound)).toEqual([])
  })

  it.each([
    ['no source', { types: sound.types, default: sound.default }, 'has no "source"'],
    ['a source that is gone', { ...sound, source: './src/adapters/koa.ts' }, 'which does not exist'],
    ['types of another file', { ...sound, types: './dist/hono.d.ts' }, 'wanted "./dist/adapters/hono.d.ts"'],
    ['code of another file', { ...sound, default: './dist/hono.js' }, 'wanted "./dist/adapters/hono.js"'],
  ])('finds an entry with %s', (_, targets, problem) => {
    expect(judge(targets)).toEqual([expect.stringContaining(problem)])
  })

  it.each([
    ['export * from "./a.ts"', 'has an "export *"'],
    ['export * as a from "./a.ts"', 'has an "export *"'],
    ['export default 1', 'has a default export'],
    ['export default function f() {}', 'has a default export'],
    ['const a = 1\nexport { a as default }', 'has a default export'],
  ])('finds %s', (text, problem) => {
    expect(judgeModule({ path: 'a.ts', text })).toEqual([expect.stringContaining(problem)])
  })

  it('finds nothing in named exports', () => {
    expect(judgeModule({ path: 'a.ts', text: 'export { a, type B } from "./a.ts"\nexport const c = 1' })).toEqual([])
  })

  it('counts code, not comments, in an adapter', () => {
    const code = `export const a = [\n${'  1,\n'.repeat(67)}]\n`
    const comment = '/**\n * Why.\n */\n// more\n\n'
    expect(judgeAdapter({ path: 'a.ts', text: comment.repeat(20) + code })).toEqual([])
    expect(judgeAdapter({ path: 'a.ts', text: `${code}export const b = 1\n` })).toEqual([
      'a.ts has 70 lines of code; an adapter stays under 70, policy belongs below it',
    ])
  })
})
