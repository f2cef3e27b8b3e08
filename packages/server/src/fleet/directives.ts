/**
 * Comments that tell the fleet how to run a file:
 *
 *     -- rowhouse: phase expand                 (or contract)
 *     -- rowhouse: no-transaction
 *     -- rowhouse: reference port, currency     (tables all tenants read)
 *     -- rowhouse: allow M10 the table holds 40 rows
 *
 * `allow` before the first statement is for the whole file, otherwise for the statement it stands at or before.
 */

import { scanSync } from 'libpg-query'
import type { Phase } from './migration.ts'

export interface Directives {
  readonly phase: Phase
  readonly noTransaction: boolean
  readonly references: readonly string[]
  readonly allows: readonly { readonly rule: string; readonly reason: string; readonly byteOffset: number }[]
}

/** A directive nobody can follow. */
export interface DirectiveFault {
  readonly byteOffset: number
  readonly message: string
}

const NAME = /^(?:[a-z_][a-z0-9_$]*|"(?:[^"]|"")+")$/i

/** Reads the directives of a file; `faults` gets one entry for each that is not understood. */
export function readDirectives(text: string, faults: DirectiveFault[]): Directives {
  const found = {
    phase: 'any' as Phase,
    noTransaction: false,
    references: [] as string[],
    allows: [] as Directives['allows'][number][],
  }
  // The scanner tells comments from strings that look like one; most files have neither.
  const tokens = /--\s*rowhouse\s*:/i.test(text) ? scanSync(text).tokens : []
  for (const { tokenName, text: comment, start: byteOffset } of tokens) {
    const [, word, rest = ''] =
      (tokenName === 'SQL_COMMENT' && /^--\s*rowhouse\s*:\s*(\S*)\s*(.*?)\s*$/i.exec(comment)) || []
    if (word === undefined) continue
    const message = follow(found, word.toLowerCase(), rest, byteOffset)
    if (message !== undefined) faults.push({ byteOffset, message })
  }
  return found
}

type Collected = {
  -readonly [K in keyof Directives]: K extends 'references'
    ? string[]
    : K extends 'allows'
      ? Directives['allows'][number][]
      : Directives[K]
}

function follow(found: Collected, word: string, rest: string, byteOffset: number): string | undefined {
  if (word === 'phase') {
    if (rest !== 'expand' && rest !== 'contract') return `"phase ${rest}" is not known: wanted "expand" or "contract"`
    if (found.phase !== 'any' && found.phase !== rest)
      return 'a file has one phase: split it into an expand and a contract file'
    found.phase = rest
    return undefined
  }
  if (word === 'no-transaction') {
    found.noTransaction = true
    return rest === '' ? undefined : `"no-transaction" takes nothing after it, found "${rest}"`
  }
  if (word === 'reference') {
    const names = rest.match(/"(?:[^"]|"")+"|[^\s,]+/g) ?? ['']
    const wrong = names.find((name) => !NAME.test(name))
    if (wrong !== undefined) return `"reference" takes names of tables without a schema, found "${wrong}"`
    found.references.push(...names.map(folded))
    return undefined
  }
  if (word === 'allow') {
    const [, rule, reason] = /^(M\d+)\s*:?\s+(\S.*)$/.exec(rest) ?? []
    if (rule === undefined || reason === undefined)
      return `"allow ${rest}" is not complete: wanted a rule and the reason, as in "allow M10 the table holds 40 rows"`
    found.allows.push({ rule, reason, byteOffset })
    return undefined
  }
  return `"${word}" is not known: wanted phase, no-transaction, reference or allow`
}

/** Names are folded as PostgreSQL folds them. */
function folded(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase()
}
