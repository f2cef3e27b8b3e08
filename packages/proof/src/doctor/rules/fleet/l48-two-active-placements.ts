import type { Rule } from '../../rule.ts'

export const twoActivePlacements: Rule = {
  id: 'L48',
  name: 'two-active-placements',
  severity: 'error',
  title: 'Tenant that is active in two placements',
  why: 'Two databases that both take the writes of a tenant drift apart, and neither has all of it. Which one a request reaches is a matter of caches, so people see their work vanish and come back.',
  remedy:
    'The highest epoch that is active is the right one: fence the other, compare both, then erase the stray copy.',
  applies: 'later',
  sql: '',
  fixtures: { fires: [], quiet: [] },
}
