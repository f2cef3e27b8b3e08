import type { Rule } from '../../rule.ts'

export const cacheOutsideOfTenant: Rule = {
  id: 'L55',
  name: 'cache-outside-of-tenant',
  severity: 'error',
  title: 'Cache or loader that is shared by tenants',
  why: 'What one tenant loads into a cache of the module, the next one gets from there, and the database is not asked. No policy helps once the row is in memory.',
  remedy:
    'Key the cache by the tenant or make it per request; `eslint-plugin-rowhouse` finds the ones at the top of a module.',
  applies: 'code',
  sql: '',
  fixtures: { fires: [], quiet: [] },
}
