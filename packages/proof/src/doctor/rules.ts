/** All rules of the doctor, in the order of their ids. */

import type { Rule } from './rule.ts'
import { codeRules } from './rules/code.ts'
import { policyRules } from './rules/policy.ts'

export const ALL_RULES: readonly Rule[] = [...policyRules, ...codeRules]
