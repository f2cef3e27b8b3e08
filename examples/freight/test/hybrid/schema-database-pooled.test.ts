import { describe } from 'vitest'
import { placeTenants } from '../support/layout.ts'

/** The first two are on the second server, of another major. */
placeTenants({
  acme: { model: 'schema', server: 'second' },
  globex: { model: 'database', server: 'second' },
  'amber-anchor': { model: 'pooled', server: 'second' },
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
