/** How much a finding weighs. Errors fail a build; warnings and notes do not unless asked. */
export type Severity = 'error' | 'warning' | 'note'

/** One thing that is wrong with one object of a database. */
export interface Finding {
  /** Stable id of the rule, e.g. `L05`. Never reused. */
  readonly rule: string
  readonly severity: Severity
  /** The object as SQL names it, e.g. `public.shipment`, `function app.cnt()`, `role web`. Same object, same text, every run. */
  readonly object: string
  /** What was found, in one sentence. */
  readonly message: string
  /** SQL that mends it, ready to run by the operator; absent where a person has to decide. */
  readonly mend?: string
}
