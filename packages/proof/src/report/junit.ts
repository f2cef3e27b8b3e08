/** Test results as JUnit XML, the format every build server reads. */

export interface JunitCase {
  readonly suite: string
  readonly name: string
  /** What went wrong; undefined for a case that passed. */
  readonly failure?: string
  /** Why it was not run. */
  readonly skipped?: string
}

/**
 * Returns the cases as a JUnit document, grouped by suite in the order given.
 *
 * @param name  of the run, e.g. `rowhouse verify`
 */
export function toJunit(name: string, cases: readonly JunitCase[]): string {
  const suites = new Map<string, JunitCase[]>()
  for (const each of cases) suites.set(each.suite, [...(suites.get(each.suite) ?? []), each])
  const body = [...suites].map(
    ([suite, own]) =>
      `  <testsuite name="${escaped(suite)}" ${counts(own)}>\n${own.map(writeCase).join('')}  </testsuite>\n`,
  )
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="${escaped(name)}" ${counts(cases)}>\n${body.join('')}</testsuites>\n`
}

function counts(cases: readonly JunitCase[]): string {
  const failures = cases.filter(({ failure }) => failure !== undefined).length
  const skipped = cases.filter(({ skipped }) => skipped !== undefined).length
  return `tests="${cases.length}" failures="${failures}" errors="0" skipped="${skipped}"`
}

function writeCase({ suite, name, failure, skipped }: JunitCase): string {
  const head = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}"`
  if (failure !== undefined) return `${head}><failure message="${escaped(failure)}"/></testcase>\n`
  if (skipped !== undefined) return `${head}><skipped message="${escaped(skipped)}"/></testcase>\n`
  return `${head}/>\n`
}

/** Control characters have no place in XML 1.0, not even escaped: a name in a catalog may hold some. */
function escaped(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
