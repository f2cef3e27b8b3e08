import { afterAll, beforeAll, expect, it } from 'vitest'
import { createPlatform, type Platform } from '../support/platform.ts'
import { HISTORY_SCHEMA } from './history.ts'
import { runMoves } from './run-moves.ts'

/** A slice of `npm run soak:moves`. */
const MOVES = 60

let platform: Platform
beforeAll(async () => {
  platform = await createPlatform({}, HISTORY_SCHEMA)
  await platform.plane.provision({ slug: 'mover', wish: { model: 'pooled', server: 'main' } })
})
afterAll(() => platform.close())

it(`${MOVES} moves under load lose nothing, double nothing and leave nothing behind (seed 7)`, async () => {
  const app = await platform.openApp()
  const done = await runMoves(platform.plane, app, { count: MOVES, seed: 7 })
  expect(done).toMatchObject({ moves: MOVES, lost: 0, duplicated: 0, stale: 0, orphans: 0, failures: [] })
  expect(done.acknowledged).toBeGreaterThan(MOVES * 10)
}, 300_000)
