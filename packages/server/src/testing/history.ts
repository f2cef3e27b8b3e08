/** A row that was found, once for each time it is there. */
export interface FoundRow {
  /** What the write returned: no two rows share it, also not those of different tenants. */
  readonly identity: string
  /** How often it was added to, where the history counts that. @defaultValue not compared */
  readonly value?: number
}

/** What is wrong with what was found; every list is empty when nothing is. */
export interface Verdict {
  /** Acknowledged and not there. */
  readonly lost: readonly string[]
  /** There more than once. */
  readonly doubled: readonly string[]
  /** There, with fewer additions than were acknowledged or more than were tried. */
  readonly stale: readonly string[]
  /** There, and written by another tenant, or by nobody. */
  readonly foreign: readonly string[]
}

/** What an application wrote, and what it was told. */
export interface History {
  /** Writes that were tried. */
  readonly writes: number
  /** Writes that were acknowledged. */
  readonly acknowledged: number
  /** Writes that failed, by code: `code` of the error, or its name. Whether those happened is not known. */
  readonly refused: Readonly<Record<string, number>>
  /** Identities of acknowledged rows, in the order of their writes. */
  readonly identities: readonly string[]
  /** Notes a row whose insert was acknowledged. */
  wrote(identity: string): void
  /** Notes an acknowledged addition of 1 to a row, which was there before the history where nothing else wrote it. */
  added(identity: string): void
  /** Notes a write that failed; it may have happened. Without an identity, one row that nobody knows is explained by it. */
  failed(error: unknown, identity?: string): void
  /**
   * Compares what is there with what was acknowledged, while nothing is written.
   *
   * @param others  identities of other tenants, whose rows must not be there
   */
  judge(found: Iterable<FoundRow>, others?: Iterable<string>): Verdict
}

interface Known {
  added: number
  unknown: number
}

/**
 * Starts a history of what one tenant's application writes, to be compared with what is there afterwards. Writes that
 * failed may be there or not; everything else has one right answer.
 *
 * @example
 * ```ts
 * import { newHistory } from 'rowhouse-server/testing'
 * const history = newHistory()
 * history.wrote('AWB-1')
 * history.wrote('AWB-2')
 * const { lost, foreign } = history.judge([{ identity: 'AWB-1' }, { identity: 'AWB-9' }])
 * console.assert(lost[0] === 'AWB-2' && foreign[0] === 'AWB-9')
 * ```
 */
export function newHistory(): History {
  const known = new Map<string, Known>()
  const unknown = new Map<string, number>()
  const refused: Record<string, number> = {}
  let acknowledged = 0
  let failures = 0
  let nameless = 0
  return {
    get writes() {
      return acknowledged + failures
    },
    get acknowledged() {
      return acknowledged
    },
    get identities() {
      return [...known.keys()]
    },
    refused,
    wrote: (identity) => {
      acknowledged += 1
      known.set(identity, { added: 0, unknown: 0 })
    },
    added: (identity) => {
      acknowledged += 1
      const row = known.get(identity) ?? { added: 0, unknown: unknown.get(identity) ?? 0 }
      row.added += 1
      known.set(identity, row)
    },
    failed: (error, identity) => {
      failures += 1
      const code = codeOf(error)
      refused[code] = (refused[code] ?? 0) + 1
      const row = identity === undefined ? undefined : known.get(identity)
      if (row !== undefined) row.unknown += 1
      else if (identity !== undefined) unknown.set(identity, (unknown.get(identity) ?? 0) + 1)
      else nameless += 1
    },
    judge: (found, others = []) => compare([...found], { known, unknown, nameless, others: new Set(others) }),
  }
}

interface Expected {
  readonly known: ReadonlyMap<string, Known>
  readonly unknown: ReadonlyMap<string, number>
  readonly nameless: number
  readonly others: ReadonlySet<string>
}

function compare(found: readonly FoundRow[], { known, unknown, nameless, others }: Expected): Verdict {
  const there = new Set<string>()
  const doubled = new Set<string>()
  const stale: string[] = []
  for (const { identity, value } of found) {
    if (there.has(identity)) doubled.add(identity)
    there.add(identity)
    const row = known.get(identity)
    if (row === undefined || value === undefined) continue
    if (value < row.added || value > row.added + row.unknown) stale.push(identity)
  }
  const unexplained = [...there].filter((identity) => !known.has(identity) && !unknown.has(identity))
  const theirs = unexplained.filter((identity) => others.has(identity))
  return {
    lost: [...known.keys()].filter((identity) => !there.has(identity)),
    doubled: [...doubled],
    stale,
    // A write that failed without saying what it wrote may be one of these.
    foreign: unexplained.length - theirs.length > nameless ? unexplained : theirs,
  }
}

function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown }
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'unknown'
}
