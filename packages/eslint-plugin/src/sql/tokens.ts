/** A word (lower case), or one other character. Strings, quoted names and comments carry no meaning here. */
export interface SqlToken {
  readonly kind: 'word' | 'quoted-name' | 'string' | 'symbol'
  /** Words in lower case; the content of strings and quoted names; else the character. */
  readonly text: string
}

/**
 * One alternative per kind of PostgreSQL token that could hide a keyword: comments (of which blocks nest, see below),
 * dollar-quoted, escape and plain strings, quoted names, words.
 */
const TOKEN =
  /(?<blank>\s+|--[^\n]*)|(?<block>\/\*)|(?<dollar>\$(?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)|(?<escaped>e'(?:[^'\\]|\\[\s\S]|'')*'?)|(?<plain>'(?:[^']|'')*'?)|(?<name>"(?:[^"]|"")*"?)|(?<word>[a-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(?<symbol>[\s\S])/giy

/** Splits SQL as PostgreSQL's scanner does, as far as keywords and calls need it. */
export function readSqlTokens(sql: string): SqlToken[] {
  const tokens: SqlToken[] = []
  let at = 0
  while (at < sql.length) {
    TOKEN.lastIndex = at
    const groups = TOKEN.exec(sql)?.groups ?? {}
    at = TOKEN.lastIndex
    if (groups.block !== undefined) at = endOfComment(sql, at)
    else if (groups.dollar !== undefined) {
      const end = sql.indexOf(groups.dollar, at)
      tokens.push({ kind: 'string', text: sql.slice(at, end < 0 ? sql.length : end) })
      at = end < 0 ? sql.length : end + groups.dollar.length
    } else {
      const token = toToken(groups)
      if (token !== undefined) tokens.push(token)
    }
  }
  return tokens
}

function toToken({ escaped, plain, name, word, symbol }: Record<string, string | undefined>): SqlToken | undefined {
  if (escaped !== undefined) return { kind: 'string', text: escaped.slice(2, -1) }
  if (plain !== undefined) return { kind: 'string', text: plain.slice(1, -1) }
  if (name !== undefined) return { kind: 'quoted-name', text: name.slice(1, -1) }
  if (word !== undefined) return { kind: 'word', text: word.toLowerCase() }
  return symbol === undefined ? undefined : { kind: 'symbol', text: symbol }
}

/** Comments nest in PostgreSQL, unlike in C. */
function endOfComment(sql: string, start: number): number {
  const mark = /\/\*|\*\//g
  mark.lastIndex = start
  for (let depth = 1; depth > 0; ) {
    const found = mark.exec(sql)
    if (found === null) return sql.length
    depth += found[0] === '/*' ? 1 : -1
    if (depth === 0) return mark.lastIndex
  }
  return sql.length
}
