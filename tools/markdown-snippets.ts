import { posix } from 'node:path'
import ts from 'typescript'
import type { RepoFile } from './repo-files.ts'

/** A block of TypeScript in a page. */
export interface Snippet {
  readonly page: string
  /** Line of the page on which the code begins, counted from 1. */
  readonly line: number
  readonly language: 'ts' | 'tsx'
  readonly code: string
  /** True when the block begins with `// @illustration`: it must parse, but names things that do not exist. */
  readonly illustration: boolean
}

/** Returns the blocks marked as `ts`, `tsx` or `typescript` of a page. */
export function readSnippets(page: RepoFile): Snippet[] {
  const blocks = page.text.matchAll(/^( *)```(tsx|typescript|ts)\b[^\n]*\n([\s\S]*?)^\1```/gm)
  return [...blocks].map((match) => {
    const [, indent = '', language, body = ''] = match
    const code = body.replaceAll(new RegExp(`^${indent}`, 'gm'), '')
    return {
      page: page.path,
      line: page.text.slice(0, match.index).split('\n').length + 1,
      language: language === 'tsx' ? 'tsx' : 'ts',
      code,
      illustration: /^\s*\/\/ @illustration\b/.test(code),
    }
  })
}

/**
 * Compiles each snippet as a module of its own, as if it stood beside its page, and returns the compiler's
 * complaints with the line of the page.
 */
export function typeCheckSnippets(root: string, snippets: readonly Snippet[], options: ts.CompilerOptions): string[] {
  const files = new Map(snippets.map((snippet, index) => [fileOf(root, snippet, index), snippet]))
  const host = ts.createCompilerHost(options)
  const fromDisk = { fileExists: host.fileExists, readFile: host.readFile, getSourceFile: host.getSourceFile }
  host.fileExists = (path) => files.has(path) || fromDisk.fileExists(path)
  host.readFile = (path) => textOf(files.get(path)) ?? fromDisk.readFile(path)
  host.getSourceFile = (path, version, ...rest) => {
    const text = textOf(files.get(path))
    if (text === undefined) return fromDisk.getSourceFile(path, version, ...rest)
    return ts.createSourceFile(path, text, version)
  }
  const program = ts.createProgram([...files.keys()], { ...options, noEmit: true, declaration: false }, host)
  return [...files].flatMap(([path, snippet]) => {
    const source = program.getSourceFile(path)
    const syntax = program.getSyntacticDiagnostics(source)
    const found = snippet.illustration || syntax.length > 0 ? syntax : program.getSemanticDiagnostics(source)
    return found.map((diagnostic) => describe(diagnostic, snippet))
  })
}

function fileOf(root: string, { page, line, language }: Snippet, index: number): string {
  return posix.join(root, posix.dirname(page), `.snippet-${index}-line-${line}.${language}`)
}

/** A snippet without imports is a module all the same: its names are its own, and it may await. */
function textOf(snippet: Snippet | undefined): string | undefined {
  return snippet && `${snippet.code}\nexport {}\n`
}

function describe(diagnostic: ts.Diagnostic, { page, line }: Snippet): string {
  const offset = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start ?? 0).line ?? 0
  return `${page}:${line + offset} ${ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ')} (TS${diagnostic.code})`
}
