import { describe } from 'vitest'
import { placeTenants } from '../support/layout.ts'

/** acme shares tables on the central server. */
placeTenants({ globex: { model: 'schema', server: 'main' }, 'amber-anchor': { model: 'database', server: 'second' } })

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
