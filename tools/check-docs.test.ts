import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { findTraces } from './check-docs.ts'
import { compareErrorCodes, readErrorCodes, readErrorReference } from './error-codes.ts'
import { findBrokenLinks } from './markdown-links.ts'
import { readSnippets, typeCheckSnippets } from './markdown-snippets.ts'
import { findUndocumented } from './public-docstrings.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const options: ts.CompilerOptions = {
  strict: true,
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: [],
  noEmit: true,
}

function fence(code: string, language = 'ts'): string {
  return `\`\`\`${language}\n${code}\n\`\`\`\n`
}

describe('findTraces()', () => {
  it.each([
    ['/ho', 'me/ann/rowhouse/src'],
    ['/ro', 'ot/rowhouse'],
    ['/wo', 'rk/main/docs'],
    ['https://regis', 'try.npmjs.org/pg'],
    ['https://nex', 'us.example.com/repository/npm'],
  ])('finds %s%s', (start, rest) => {
    const [problem] = findTraces({ path: 'a.md', text: `fine\nsee ${start}${rest}` })
    expect(problem).toMatch(/^a\.md:2 names ".+", which exists on one machine only$/)
  })

  it('lets addresses and paths of the product pass', () => {
    const text =
      'https://example.com/home/ann, ./work/a, docs/root/x, the registry of tenants, registry.find(id), /rooms/work'
    expect(findTraces({ path: 'a.md', text })).toEqual([])
  })
})

describe('findBrokenLinks()', () => {
  const other = { path: 'docs/b.md', text: '# Über uns & more\n\n## Twice\n\n## Twice\n' }
  const judge = (text: string) =>
    findBrokenLinks([{ path: 'docs/a.md', text }, other], new Set(['docs/a.md', 'docs/b.md', 'LICENSE']))

  it('finds nothing in links that lead somewhere', () => {
    const text =
      '# Here\n[1](b.md) [2](b.md#über-uns--more) [3](../LICENSE) [4](#here) [5](b.md#twice-1) [6](https://x.invalid/y) [7](../docs)\n'
    expect(judge(text)).toEqual([])
  })

  it.each([
    ['a file that is gone', '[x](c.md)', 'docs/a.md:1 links to "c.md": there is no "docs/c.md"'],
    [
      'a heading that is gone',
      'one\n[x](b.md#two)',
      'docs/a.md:2 links to "b.md#two": "docs/b.md" has no heading "#two"',
    ],
    ['a picture that is gone', '![x](x.png)', 'docs/a.md:1 links to "x.png": there is no "docs/x.png"'],
    ['a reference that is gone', '[x]: ../x.md', 'docs/a.md:1 links to "../x.md": there is no "x.md"'],
  ])('finds a link to %s', (_, text, problem) => {
    expect(judge(text)).toEqual([problem])
  })

  it('does not take code for links and keeps the line after it', () => {
    expect(judge(`${fence('a[0](gone.md)')}\`b[1](gone.md)\`\n[x](c.md)`)).toEqual([
      'docs/a.md:5 links to "c.md": there is no "docs/c.md"',
    ])
  })
})

describe('typeCheckSnippets()', () => {
  const check = (text: string) => typeCheckSnippets(root, readSnippets({ path: 'docs/a.md', text }), options)

  it('accepts snippets that compile, each as a module of its own', () => {
    expect(check(`${fence('const a: number = 1\nawait a')}${fence('const a: string = "x"')}`)).toEqual([])
  })

  it('reports an error with the line of the page', () => {
    expect(check(`# Title\n\n${fence('const a = 1\nconst b: string = a')}`)).toEqual([
      "docs/a.md:5 Type 'number' is not assignable to type 'string'. (TS2322)",
    ])
  })

  it('only parses what begins with @illustration', () => {
    expect(check(fence('// @illustration\nunknownName()'))).toEqual([])
    expect(check(fence('// @illustration\nconst a: = 1'))).toEqual([expect.stringContaining('docs/a.md:3 ')])
  })

  it('leaves other languages alone', () => {
    expect(check(fence('const = 1', 'js'))).toEqual([])
  })
})

describe('findUndocumented()', () => {
  it('wants a sentence, and an example for functions and classes that are no errors', () => {
    const text = [
      '/** Does a thing. @example a() */ export function a() {}',
      '/** Does a thing. */ export function b() {}',
      'export const c = 1',
      '/** what is this */ export const d = 1',
      '/** Says that it failed. */ export class E extends Error {}',
      '/** Holds. */ export class F {}',
      'export interface G {}',
    ].join('\n')
    const host = ts.createCompilerHost(options)
    const { getSourceFile } = host
    host.getSourceFile = (path, version, ...rest) =>
      path === 'entry.ts' ? ts.createSourceFile(path, text, version, true) : getSourceFile(path, version, ...rest)
    const report = findUndocumented(ts.createProgram(['entry.ts'], options, host), 'entry.ts')
    expect(report.count).toBe(6)
    expect(report.problems).toEqual([
      '"b" has no @example in its docstring',
      '"c" has no docstring',
      '"d" has a docstring that does not open with a sentence',
      '"F" has no @example in its docstring',
    ])
  })

  it('reports an entry that is missing', () => {
    const missing = join(root, 'no-such-entry.ts')
    expect(findUndocumented(ts.createProgram([], options), missing).problems).toEqual([
      'the file is missing or exports nothing',
    ])
  })
})

describe('compareErrorCodes()', () => {
  const source = readErrorCodes(`
    export class AError extends RowhouseError<'ERR_ONE' | 'ERR_TWO'> {}
    export class BError extends RowhouseError<'ERR_THREE'> { override readonly retryable = true }`)
  const compare = (rows: string) => compareErrorCodes(source, readErrorReference(rows))
  const row = (code: string, retry: string) => `| \`${code}\` | means | when | what | ${retry} |\n`

  it('finds nothing where both say the same', () => {
    const page = `## AError\n${row('ERR_ONE', 'no')}${row('ERR_TWO', 'no')}## BError\n${row('ERR_THREE', 'yes')}`
    expect(compare(page)).toEqual([])
  })

  it('finds codes that are missing, misplaced, invented or said to be retryable', () => {
    expect(compare(`## AError\n${row('ERR_TWO', 'yes')}${row('ERR_THREE', 'yes')}${row('ERR_FOUR', 'no')}`)).toEqual([
      'Error code ERR_ONE is missing: add a row below "## AError"',
      'Error code ERR_TWO is retryable: no',
      'Error code ERR_THREE stands below AError: move it to BError',
      'Error code ERR_FOUR does not exist: remove its row',
    ])
  })
})
