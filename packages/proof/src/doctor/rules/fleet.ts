/** Rules about tenants and where they live. Some wait for files and audit. */

import type { Rule } from '../rule.ts'
import { placementSchema } from './fleet/l46-placement-schema.ts'
import { strayRows } from './fleet/l47-stray-rows.ts'
import { twoActivePlacements } from './fleet/l48-two-active-placements.ts'
import { oldKey } from './fleet/l49-old-key.ts'
import { fileOutsideOfTenant } from './fleet/l50-file-outside-of-tenant.ts'
import { domainBoundTwice } from './fleet/l51-domain-bound-twice.ts'
import { auditCheckpointOld } from './fleet/l52-audit-checkpoint-old.ts'
import { restoreNotRehearsed } from './fleet/l53-restore-not-rehearsed.ts'
import { codeOutsideOfTenant } from './fleet/l54-code-outside-of-tenant.ts'
import { cacheOutsideOfTenant } from './fleet/l55-cache-outside-of-tenant.ts'
import { registryDisagrees } from './fleet/l58-registry-disagrees.ts'
import { homeWithoutTenant } from './fleet/l64-home-without-tenant.ts'
import { homeOpen } from './fleet/l65-home-open.ts'
import { databaseOfTenantOpen } from './fleet/l66-database-of-tenant-open.ts'
import { homeTableUnguarded } from './fleet/l67-home-table-unguarded.ts'
import { homeShadows } from './fleet/l68-home-shadows.ts'
import { moveLeftBehind } from './fleet/l69-move-left-behind.ts'

export const fleetRules: readonly Rule[] = [
  placementSchema,
  strayRows,
  twoActivePlacements,
  oldKey,
  fileOutsideOfTenant,
  domainBoundTwice,
  auditCheckpointOld,
  restoreNotRehearsed,
  codeOutsideOfTenant,
  cacheOutsideOfTenant,
  registryDisagrees,
  homeWithoutTenant,
  homeOpen,
  databaseOfTenantOpen,
  homeTableUnguarded,
  homeShadows,
  moveLeftBehind,
]
