import { compatibilityRules } from './compatibility.ts'
import { lockRules } from './locks.ts'
import type { Rule } from './rule.ts'
import { tenancyRules } from './tenancy.ts'

/** Asked of a file once all others have spoken: the lint itself applies it. */
export const ALLOWANCE_RULE: Rule = {
  id: 'M49',
  name: 'allowance-without-use',
  severity: 'warning',
  title: '`-- rowhouse: allow` for a rule that says nothing',
  why: 'It hides the next mistake of that kind.',
  instead: 'take the comment out',
  check: () => [],
}

/** All rules, by id. Ids are stable and never reused. */
export const LINT_RULES: readonly Rule[] = [...compatibilityRules, ...lockRules, ...tenancyRules, ALLOWANCE_RULE]
