/** What verify found, in the forms people and programs read. */

import type { Finding } from '../report/finding.ts'
import { type JunitCase, toJunit } from '../report/junit.ts'
import { toSarif } from '../report/sarif.ts'
import { FAMILIES } from './attack.ts'
import type { VerifiedCell, VerifyReport } from './verify.ts'

/** One line of the table of attacks: an attack, and what became of it on every object it was tried on. */
export interface AttackLine {
  readonly attack: string
  readonly title: string
  readonly refused: number
  readonly leaked: number
  readonly void: number
  readonly notApplicable: number
}

/** Sums the cells by attack, in the order of the catalogue. */
export function attackLines(report: VerifyReport): AttackLine[] {
  const lines = new Map<string, { -readonly [Key in keyof AttackLine]: AttackLine[Key] }>()
  for (const { attack, title, verdict } of report.cells) {
    const line = lines.get(`${attack} ${title}`) ?? { attack, title, refused: 0, leaked: 0, void: 0, notApplicable: 0 }
    line[verdict === 'not-applicable' ? 'notApplicable' : verdict] += 1
    lines.set(`${attack} ${title}`, line)
  }
  const place = ({ attack }: AttackLine) => FAMILIES.findIndex((family) => attack.startsWith(family))
  return [...lines.values()].sort(
    (a, b) => place(a) - place(b) || (a.attack < b.attack ? -1 : a.attack > b.attack ? 1 : 0),
  )
}

/** Returns the report as JUnit: a suite per attack, a case per object. */
export function verifyToJunit(report: VerifyReport): string {
  return toJunit('rowhouse verify', report.cells.map(toCase))
}

function toCase({ attack, title, target, verb, verdict, how }: VerifiedCell): JunitCase {
  const named = { suite: `${attack} ${title}`, name: `${verb} ${target}` }
  if (verdict === 'refused') return named
  return verdict === 'not-applicable' ? { ...named, skipped: how } : { ...named, failure: `${verdict}: ${how}` }
}

/** Returns what leaked or is void as SARIF, an attack being a rule. */
export function verifyToSarif(report: VerifyReport, version: string) {
  const rules = new Map(
    report.cells.map(({ attack, title }) => [
      attack,
      { id: attack, name: attack, title, why: `${title}.`, severity: 'error' as const },
    ]),
  )
  return toSarif({
    tool: { name: 'rowhouse verify', version },
    rules: [...rules.values()],
    results: report.cells.flatMap(toFinding),
  })
}

function toFinding({ attack, title, target, verb, verdict, how }: VerifiedCell): Finding[] {
  if (verdict !== 'leaked' && verdict !== 'void') return []
  return [{ rule: attack, severity: 'error', object: `${target} (${verb})`, message: `${title}: ${verdict}, ${how}` }]
}
