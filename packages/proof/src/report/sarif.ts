/**
 * Findings as SARIF 2.1.0, the format code scanning reads.
 *
 * Objects of a database are logical locations: there is no file and no line. The fingerprint keeps a finding the same one
 * from run to run, so that it is not reported as new after each.
 *
 * @see https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
 */

import { createHash } from 'node:crypto'
import type { Finding, Severity } from './finding.ts'

export interface SarifInput {
  readonly tool: { readonly name: string; readonly version: string }
  readonly rules: readonly SarifRule[]
  readonly results: readonly Finding[]
}

/** What a reader of a result wants to know about its rule. */
export interface SarifRule {
  readonly id: string
  readonly name: string
  readonly title: string
  readonly why: string
  readonly severity: Severity
  /** Page about the rule. */
  readonly helpUri?: string
}

export interface SarifLog {
  readonly $schema: string
  readonly version: '2.1.0'
  readonly runs: readonly [SarifRun]
}

interface SarifRun {
  readonly tool: { readonly driver: SarifDriver }
  readonly columnKind: 'utf16CodeUnits'
  readonly results: readonly SarifResult[]
}

interface SarifDriver {
  readonly name: string
  readonly version: string
  readonly rules: readonly SarifDescriptor[]
}

interface SarifDescriptor {
  readonly id: string
  readonly name: string
  readonly shortDescription: { readonly text: string }
  readonly fullDescription: { readonly text: string }
  readonly defaultConfiguration: { readonly level: Severity }
  readonly helpUri?: string
}

interface SarifResult {
  readonly ruleId: string
  readonly ruleIndex: number
  readonly level: Severity
  readonly message: { readonly text: string }
  readonly locations: readonly [{ readonly logicalLocations: readonly [{ readonly fullyQualifiedName: string }] }]
  readonly partialFingerprints: { readonly 'ruleAndObject/v1': string }
}

const SCHEMA = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json'

/**
 * Returns the findings as a SARIF log, ready for `JSON.stringify`.
 *
 * @throws {RangeError} for a result of a rule that is not among `rules`
 */
export function toSarif({ tool, rules, results }: SarifInput): SarifLog {
  const places = new Map(rules.map(({ id }, index) => [id, index]))
  const driver = { name: tool.name, version: tool.version, rules: rules.map(toDescriptor) }
  const converted = results.map((finding) => toResult(finding, requirePlace(places, finding.rule)))
  return {
    $schema: SCHEMA,
    version: '2.1.0',
    runs: [{ tool: { driver }, columnKind: 'utf16CodeUnits', results: converted }],
  }
}

function requirePlace(places: ReadonlyMap<string, number>, rule: string): number {
  const place = places.get(rule)
  if (place === undefined)
    throw new RangeError(`Cannot write a result of rule "${rule}": it is not among the rules given`)
  return place
}

function toDescriptor({ id, name, title, why, severity, helpUri }: SarifRule): SarifDescriptor {
  return {
    id,
    name,
    shortDescription: { text: title },
    fullDescription: { text: why },
    defaultConfiguration: { level: severity },
    ...(helpUri === undefined ? {} : { helpUri }),
  }
}

function toResult({ rule, severity, object, message }: Finding, ruleIndex: number): SarifResult {
  return {
    ruleId: rule,
    ruleIndex,
    level: severity,
    message: { text: message },
    locations: [{ logicalLocations: [{ fullyQualifiedName: object }] }],
    partialFingerprints: { 'ruleAndObject/v1': fingerprint(rule, object) },
  }
}

/** The rule and the object, and not the message: a better wording is no new finding. */
function fingerprint(rule: string, object: string): string {
  return createHash('sha256').update(`${rule}\0${object}`).digest('hex')
}
