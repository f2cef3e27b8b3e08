import type { Rule } from '../../rule.ts'

export const placementSchema: Rule = {
  id: 'L46',
  name: 'placement-schema',
  severity: 'error',
  title: 'Placement whose schema is not the one that is wanted',
  why: 'A placement that missed a migration, or got one by hand, may lack a policy, a column of a key or a grant that all others have. Its tenants live behind another wall than the one that was tested, and cannot be moved, because copies are compared column by column.',
  remedy: 'Bring the placement up to date with the fleet migration, and look for who changed it by hand.',
  applies: 'later',
  sql: '',
  fixtures: { fires: [], quiet: [] },
}
