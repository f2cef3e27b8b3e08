/**
 * Ways to write the same SQL so that no filter of texts recognises it. The meaning never changes.
 */
export interface Disguise {
  readonly name: string
  readonly apply: (sql: string) => string
}

/** Literals longer than this stay as they are where every character would become a function call. */
const MAX_SPELLED = 64

export const DISGUISES: readonly Disguise[] = [
  { name: 'plain', apply: (sql) => sql },
  { name: 'mixed case', apply: (sql) => outsideLiterals(sql, mixCase) },
  { name: 'comments for spaces', apply: (sql) => outsideLiterals(sql, (part) => part.replace(/ /g, '/**/')) },
  { name: 'nested comments', apply: (sql) => outsideLiterals(sql, (part) => part.replace(/ /g, ' /*a/*b*/c*/ ')) },
  { name: 'tabs and newlines', apply: (sql) => outsideLiterals(sql, (part) => part.replace(/ /g, '\t\r\n\f')) },
  { name: 'line comments', apply: (sql) => outsideLiterals(sql, (part) => part.replace(/ /g, ' --\n')) },
  { name: 'chr()', apply: (sql) => literals(sql, spelledWithChr) },
  { name: 'dollar quotes', apply: (sql) => literals(sql, (value) => `$p$${value}$p$`) },
  { name: 'unicode escapes', apply: (sql) => literals(sql, (value) => `U&'${codes(value, '\\', 4)}'`) },
  { name: 'hex escapes', apply: (sql) => literals(sql, (value) => `E'${codes(value, '\\x', 2)}'`) },
  { name: 'hex decoded', apply: (sql) => literals(sql, decodedFromHex) },
  { name: 'base64 decoded', apply: (sql) => literals(sql, decodedFromBase64) },
]

/** Splits into quoted parts (literals, dollar quotes, quoted identifiers) and the rest. */
const PARTS = /('(?:[^']|'')*'|\$([a-z]*)\$[\s\S]*?\$\2\$|"(?:[^"]|"")*")/g

function outsideLiterals(sql: string, change: (part: string) => string): string {
  let done = ''
  let from = 0
  for (const match of sql.matchAll(PARTS)) {
    done += change(sql.slice(from, match.index)) + match[0]
    from = match.index + match[0].length
  }
  return done + change(sql.slice(from))
}

function literals(sql: string, spell: (value: string) => string): string {
  return sql.replace(PARTS, (part) => (part.startsWith("'") ? spell(part.slice(1, -1).replaceAll("''", "'")) : part))
}

function mixCase(part: string): string {
  return [...part].map((letter, index) => (index % 2 === 0 ? letter.toUpperCase() : letter.toLowerCase())).join('')
}

function spelledWithChr(value: string): string {
  if (value === '' || value.length > MAX_SPELLED) return `'${value.replaceAll("'", "''")}'`
  return `(${[...value].map((letter) => `chr(${letter.codePointAt(0)})`).join('||')})`
}

function codes(value: string, prefix: string, width: number): string {
  return [...value].map((letter) => prefix + (letter.codePointAt(0) ?? 0).toString(16).padStart(width, '0')).join('')
}

function decodedFromHex(value: string): string {
  return `convert_from(decode('${Buffer.from(value).toString('hex')}','hex'),'UTF8')`
}

function decodedFromBase64(value: string): string {
  return `convert_from(decode('${Buffer.from(value).toString('base64')}','base64'),'UTF8')`
}
