export interface LabResult {
  readonly verdict: string
  readonly attack: string
  readonly wall: string
  readonly codes: readonly string[]
  readonly text: string
}

/** Reads the attempts from a page of the laboratory. */
export function labResults(html: string): LabResult[] {
  const [results = ''] = html.split('<h2>What the log has of it')
  return results
    .split('<div class="attempt">')
    .slice(1)
    .map((part) => {
      const [, verdict = '', attack = '', wall = ''] =
        /<span class="pill (\w+)">[^<]*<\/span>([^<]*)<span class="soft small">([^<]*)</.exec(part) ?? []
      const codes = [...part.matchAll(/<code>([^<]*)<\/code>/g)].map(([, code = '']) => code)
      return { verdict, attack, wall, codes, text: part }
    })
}
