import { describe } from 'vitest'
import { placeTenants } from '../support/layout.ts'

placeTenants({
  acme: { model: 'database', server: 'main' },
  globex: { model: 'pooled', server: 'second' },
  'amber-anchor': { model: 'schema', server: 'main' },
})

/** The same tests as for shared tables, not a line of them changed. */
describe('pages and API', async () => {
  await import('../pages.test.ts')
})
describe('access', async () => {
  await import('../access.test.ts')
})
describe('laboratory', async () => {
  await import('../lab.test.ts')
})
