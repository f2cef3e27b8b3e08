/** All rules of the doctor, in the order they are asked. Ids are stable and never reused. */

import type { Rule } from './rule.ts'
import { codeRules } from './rules/code.ts'
import { fleetRules } from './rules/fleet.ts'
import { policyRules } from './rules/policy.ts'
import { serverRules } from './rules/server.ts'
import { shapeRules } from './rules/shape.ts'

export const ALL_RULES: readonly Rule[] = [...policyRules, ...codeRules, ...shapeRules, ...serverRules, ...fleetRules]
