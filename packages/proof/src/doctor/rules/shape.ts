/** Rules about the shape of tables: keys, indexes, what replicates them. */

import type { Rule } from '../rule.ts'
import { foreignKeyWithoutTenant } from './shape/l26-foreign-key-without-tenant.ts'
import { keyNotByTenant } from './shape/l27-key-not-by-tenant.ts'
import { sequenceUsable } from './shape/l28-sequence-usable.ts'
import { indexNotByTenant } from './shape/l29-index-not-by-tenant.ts'
import { largeObjects } from './shape/l30-large-objects.ts'
import { replication } from './shape/l31-replication.ts'
import { foreignKeyWithoutIndex } from './shape/l32-foreign-key-without-index.ts'
import { noPrimaryKey } from './shape/l33-no-primary-key.ts'
import { indexWithoutUse } from './shape/l34-index-without-use.ts'
import { policyPerRow } from './shape/l35-policy-per-row.ts'
import { sensitiveColumn } from './shape/l59-sensitive-column.ts'

export const shapeRules: readonly Rule[] = [
  foreignKeyWithoutTenant,
  keyNotByTenant,
  sequenceUsable,
  indexNotByTenant,
  largeObjects,
  replication,
  foreignKeyWithoutIndex,
  noPrimaryKey,
  indexWithoutUse,
  policyPerRow,
  sensitiveColumn,
]
