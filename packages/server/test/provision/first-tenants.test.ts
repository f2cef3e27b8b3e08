import { expect, it } from 'vitest'
import { createTestDatabase } from '../../../core/test/support/database.ts'
import { openControlPlane } from '../../src/control-plane.ts'
import { writeSchema } from '../support/platform.ts'

it('the first tenants of a platform, all at once, make its shared tables once', async () => {
  const [database, migrations] = await Promise.all([createTestDatabase(), writeSchema()])
  const plane = await openControlPlane({
    url: database.adminUrl,
    rootKey: database.rootKey,
    migrations: migrations.folder,
  })
  const wishes = ['pooled', 'schema', 'pooled', 'schema', 'schema', 'pooled'] as const
  const made = await Promise.all(wishes.map((model, n) => plane.provision({ slug: `first-${n}`, wish: { model } })))
  expect(made.map(({ state }) => state)).toEqual(wishes.map(() => 'active'))
  expect(await plane.findOrphans()).toEqual([])
  await plane.close()
  await Promise.all([database.drop(), migrations.remove()])
})
