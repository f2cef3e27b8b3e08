/** Rules about roles and the server: who may log in, what with, and what the server keeps or gives away. */

import type { Rule } from '../rule.ts'
import { appRolePower } from './server/l36-app-role-power.ts'
import { roleMembership } from './server/l37-role-membership.ts'
import { openLogin } from './server/l38-open-login.ts'
import { weakPassword } from './server/l39-weak-password.ts'
import { serverMinor } from './server/l40-server-minor.ts'
import { noTimeouts } from './server/l41-no-timeouts.ts'
import { unboundedSlots } from './server/l42-unbounded-slots.ts'
import { moveCapacity } from './server/l43-move-capacity.ts'
import { backendSignals } from './server/l44-backend-signals.ts'
import { parametersLogged } from './server/l45-parameters-logged.ts'
import { newerMinor } from './server/l56-newer-minor.ts'
import { extensionOutdated } from './server/l57-extension-outdated.ts'
import { ownerPower } from './server/l60-owner-power.ts'
import { parameterRights } from './server/l62-parameter-rights.ts'
import { serverFunctions } from './server/l63-server-functions.ts'

export const serverRules: readonly Rule[] = [
  appRolePower,
  roleMembership,
  openLogin,
  weakPassword,
  serverMinor,
  noTimeouts,
  unboundedSlots,
  moveCapacity,
  backendSignals,
  parametersLogged,
  newerMinor,
  extensionOutdated,
  ownerPower,
  parameterRights,
  serverFunctions,
]
