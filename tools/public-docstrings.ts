import ts from 'typescript'

/** What is missing from the docstrings of a public entry, and how many names it has. */
export interface DocstringReport {
  readonly count: number
  readonly problems: readonly string[]
}

/**
 * Looks at every value a module exports: each needs a docstring that opens with a sentence, and functions and
 * classes an example. Error classes need none: they are caught by their code, which the reference explains.
 */
export function findUndocumented(program: ts.Program, entry: string): DocstringReport {
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(entry)
  const module = source && checker.getSymbolAtLocation(source)
  if (module === undefined) return { count: 0, problems: ['the file is missing or exports nothing'] }
  const values = checker
    .getExportsOfModule(module)
    .map((symbol) => ({ name: symbol.name, target: aliased(symbol, checker) }))
    .filter(({ target }) => (target.flags & ts.SymbolFlags.Value) !== 0)
  const problems = values.flatMap(({ name, target }) =>
    findFaults(target, checker).map((fault) => `"${name}" ${fault}`),
  )
  return { count: values.length, problems }
}

function findFaults(symbol: ts.Symbol, checker: ts.TypeChecker): string[] {
  const text = ts.displayPartsToString(symbol.getDocumentationComment(checker))
  if (text.trim() === '') return ['has no docstring']
  const faults = opensWithSentence(text) ? [] : ['has a docstring that does not open with a sentence']
  const hasExample = symbol.getJsDocTags(checker).some((tag) => tag.name === 'example')
  if (needsExample(symbol, checker) && !hasExample) faults.push('has no @example in its docstring')
  return faults
}

/** A sentence may run over several lines; its paragraph ends with a full stop, or a colon before a list or code. */
function opensWithSentence(text: string): boolean {
  const paragraph = (text.split(/\n\s*\n/)[0] ?? '').replace(/\s+/g, ' ').trim()
  return /^[A-Z`]/.test(paragraph) && /[.:]$/.test(paragraph)
}

function needsExample(symbol: ts.Symbol, checker: ts.TypeChecker): boolean {
  if ((symbol.flags & ts.SymbolFlags.Function) !== 0) return true
  if ((symbol.flags & ts.SymbolFlags.Class) === 0) return false
  return checker.getDeclaredTypeOfSymbol(symbol).getProperty('stack') === undefined
}

function aliased(symbol: ts.Symbol, checker: ts.TypeChecker): ts.Symbol {
  return (symbol.flags & ts.SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(symbol) : symbol
}
