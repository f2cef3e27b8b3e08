import ts from 'typescript'

/** What is said about an error code, in the source or in the reference. */
export interface ErrorCode {
  readonly class: string
  readonly retryable: boolean
}

/**
 * Reads the codes of `packages/core/src/errors.ts`, each with its class, from the type argument of
 * `extends RowhouseError<…>`; a class is retryable when it overrides `retryable` with true.
 */
export function readErrorCodes(sourceText: string): Map<string, ErrorCode> {
  const source = ts.createSourceFile('errors.ts', sourceText, ts.ScriptTarget.Latest, true)
  const codes = new Map<string, ErrorCode>()
  for (const statement of source.statements) {
    if (!ts.isClassDeclaration(statement) || statement.name === undefined) continue
    const base = statement.heritageClauses?.[0]?.types[0]
    const retryable = statement.members.some(isRetryable)
    for (const code of base?.typeArguments?.flatMap(literalsOf) ?? []) {
      codes.set(code, { class: statement.name.text, retryable })
    }
  }
  return codes
}

/**
 * Reads the codes of `docs/reference/errors.md`: a heading `## Class` for each class, below it one table row a code,
 * whose first cell is the code and whose last one begins with "yes" or "no".
 */
export function readErrorReference(markdown: string): Map<string, ErrorCode> {
  const codes = new Map<string, ErrorCode>()
  let heading = ''
  for (const line of markdown.split('\n')) {
    heading = /^## `?(\w+)`?$/.exec(line)?.[1] ?? heading
    const code = /^\| `(ERR_[A-Z_]+)` \|/.exec(line)?.[1]
    if (code === undefined) continue
    const last = line.split('|').at(-2)?.trim() ?? ''
    codes.set(code, { class: heading, retryable: last.startsWith('yes') })
  }
  return codes
}

/** Returns one sentence per difference between what the source and the reference say. */
export function compareErrorCodes(source: Map<string, ErrorCode>, reference: Map<string, ErrorCode>): string[] {
  const missing = [...source].flatMap(([code, wanted]) => {
    const found = reference.get(code)
    if (found === undefined) return [`Error code ${code} is missing: add a row below "## ${wanted.class}"`]
    if (found.class !== wanted.class)
      return [`Error code ${code} stands below ${found.class}: move it to ${wanted.class}`]
    if (found.retryable !== wanted.retryable)
      return [`Error code ${code} is retryable: ${wanted.retryable ? 'yes' : 'no'}`]
    return []
  })
  const unknown = [...reference.keys()].filter((code) => !source.has(code))
  return [...missing, ...unknown.map((code) => `Error code ${code} does not exist: remove its row`)]
}

function isRetryable(member: ts.ClassElement): boolean {
  return (
    ts.isPropertyDeclaration(member) &&
    member.name.getText() === 'retryable' &&
    member.initializer?.kind === ts.SyntaxKind.TrueKeyword
  )
}

function literalsOf(type: ts.TypeNode): string[] {
  if (ts.isUnionTypeNode(type)) return type.types.flatMap(literalsOf)
  return ts.isLiteralTypeNode(type) && ts.isStringLiteral(type.literal) ? [type.literal.text] : []
}
