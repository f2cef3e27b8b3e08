/** Rules about what the application can reach: views, functions, grants, extensions, settings. */

import type { Rule } from '../rule.ts'
import { viewAroundPolicies } from './code/l11-view-around-policies.ts'
import { matviewReadable } from './code/l12-matview-readable.ts'
import { definerFunction } from './code/l13-definer-function.ts'
import { definerSearchPath } from './code/l14-definer-search-path.ts'
import { executeByPublic } from './code/l15-execute-by-public.ts'
import { ruleOnTenantTable } from './code/l16-rule-on-tenant-table.ts'
import { excessGrants } from './code/l17-excess-grants.ts'
import { createOrTemp } from './code/l18-create-or-temp.ts'
import { foreignTable } from './code/l19-foreign-table.ts'
import { extensionNotKnown } from './code/l20-extension-not-known.ts'
import { leakproofFunction } from './code/l21-leakproof-function.ts'
import { defaultPrivileges } from './code/l22-default-privileges.ts'
import { roleSettings } from './code/l23-role-settings.ts'
import { foreignKeyUnproven } from './code/l24-foreign-key-unproven.ts'
import { templateObjects } from './code/l25-template-objects.ts'

export const codeRules: readonly Rule[] = [
  viewAroundPolicies,
  matviewReadable,
  definerFunction,
  definerSearchPath,
  executeByPublic,
  ruleOnTenantTable,
  excessGrants,
  createOrTemp,
  foreignTable,
  extensionNotKnown,
  leakproofFunction,
  defaultPrivileges,
  roleSettings,
  foreignKeyUnproven,
  templateObjects,
]
