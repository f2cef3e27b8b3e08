import type { Column, SqlType } from './fixture.ts'
import type { Random } from './random.ts'
import type { Tree } from './tree.ts'

/** Something with columns that expressions may name. */
export interface Source {
  readonly alias: string
  readonly columns: readonly Column[]
  /** Columns that tell its rows apart; rows that agree in them agree in everything. */
  readonly key: readonly string[]
  /** True for a table, whose rows have a place. */
  readonly stored?: boolean
}

/** A common table expression that may be read by name. */
export interface NamedQuery {
  readonly name: string
  readonly columns: readonly Column[]
}

/** What the making of one statement draws from. */
export interface Draw {
  readonly random: Random
  /** Major of the server: what it does not know yet is not made. */
  readonly major: number
  /** Returns a name not used in this statement before. */
  readonly newName: (prefix: string) => string
  /** Makes a SELECT with these columns (`c1`, `c2` …) that may refer to `outer`. Given from above, so that files need no cycle. */
  readonly select: (types: readonly SqlType[], outer: readonly Source[], depth: number) => Tree
}

/** How deep expressions and subqueries nest; a statement has to stay below a millisecond. */
export const DEPTH = 3

const ALL_TYPES: readonly SqlType[] = [
  'int',
  'int',
  'int',
  'text',
  'text',
  'num',
  'bool',
  'uuid',
  'json',
  'tags',
  'tier',
  'status',
]

export function randomTypes(random: Random, min: number, max: number): SqlType[] {
  return Array.from({ length: random.int(min, max) }, () => random.pick(ALL_TYPES))
}
