/** What a check found: one sentence for the list, and one line per problem. */
export interface CheckResult {
  /** What is true when there is no problem, e.g. `412 imports go down the layers`. */
  readonly summary: string
  /** One problem per entry, with file and line where there is one. Empty means passed. */
  readonly problems: readonly string[]
}
