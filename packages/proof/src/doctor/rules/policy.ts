/** Rules about row-level security itself: who is bound by which policy. */

import type { Rule } from '../rule.ts'
import { tableWithoutRls } from './policy/l01-table-without-rls.ts'
import { rlsNotForced } from './policy/l02-rls-not-forced.ts'
import { partWithoutRls } from './policy/l03-part-without-rls.ts'
import { noWall } from './policy/l04-no-wall.ts'
import { checkDiffers } from './policy/l05-check-differs.ts'
import { policiesIncomplete } from './policy/l06-policies-incomplete.ts'
import { policyNotCanonical } from './policy/l07-policy-not-canonical.ts'
import { tenantColumn } from './policy/l08-tenant-column.ts'
import { installationAltered } from './policy/l09-installation-altered.ts'
import { ownedByApplication } from './policy/l10-owned-by-application.ts'
import { unitColumnUnguarded } from './policy/l61-unit-column-unguarded.ts'

export const policyRules: readonly Rule[] = [
  tableWithoutRls,
  rlsNotForced,
  partWithoutRls,
  noWall,
  checkDiffers,
  policiesIncomplete,
  policyNotCanonical,
  tenantColumn,
  installationAltered,
  ownedByApplication,
  unitColumnUnguarded,
]
