import { scanSync } from 'libpg-query'

/**
 * Blanks a schema in front of names, keeping every position: `references "public"."port"` → `references          "port"`.
 *
 * drizzle-kit and Prisma write the schema they were told at every foreign key and type; where the tenant lives decides
 * which schema it is. Text the scanner refuses is returned as it is: the parser says what is wrong with it.
 */
export function withoutSchema(text: string, schema: string): string {
  if (!text.includes(`${schema}".`) && !text.includes(`${schema}.`)) return text
  const bytes = Buffer.from(text)
  const written = new Set([schema, `"${schema}"`])
  try {
    const { tokens } = scanSync(text)
    for (const [place, token] of tokens.entries()) {
      const [previous, next] = [tokens[place - 1], tokens[place + 1]]
      if (!written.has(token.text) || next?.text !== '.' || previous?.text === '.') continue
      bytes.fill(' ', token.start, next.end)
    }
  } catch {
    return text
  }
  return bytes.toString('utf8')
}
