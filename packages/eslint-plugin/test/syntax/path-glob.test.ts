import { describe, expect, it } from 'vitest'
import { fitsGlob } from '../../src/syntax/path-glob.ts'

describe('fitsGlob()', () => {
  it.each([
    ['/app/src/operator/a/b.ts', 'src/operator/**', true],
    ['/app/src/operator.ts', 'src/operator/**', false],
    ['/app/src/operator/b.ts', './src/operator/*.ts', true],
    ['/app/src/operator/a/b.ts', 'src/operator/*.ts', false],
    ['/app/src/a/b/c.ts', 'src/**/c.ts', true],
    ['/app/src/c.ts', 'src/**/c.ts', true],
    ['/app/src/c.tsx', 'c.{ts,tsx}', true],
    ['/app/src/c1.ts', 'c?.ts', true],
    ['/app/src/cxts', 'c.ts', false],
    ['/app/src/(group)/[id].ts', 'src/(group)/*.ts', true],
    ['/app/src/[id].ts', 'src/[id].ts', true],
    ['C:\\app\\src\\c.ts', 'src/c.ts', true],
    ['/app/other-src/c.ts', 'src/c.ts', false],
  ])('of %s and %s is %s', (path, glob, fits) => {
    expect(fitsGlob(path, [glob])).toBe(fits)
  })

  it('fits nothing without globs', () => {
    expect(fitsGlob('/a.ts', [])).toBe(false)
  })
})
