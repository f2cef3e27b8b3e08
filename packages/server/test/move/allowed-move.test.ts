import { randomUUID } from 'node:crypto'
import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PlacementRules } from '../../src/placing/placement-rules.ts'
import type { ProvisioningRequest } from '../../src/provision/provisioning-request.ts'
import { createPlatform, type Platform } from '../support/platform.ts'
import { HISTORY_SCHEMA } from './history.ts'

/** What a move is held to besides what is possible: the region, rules that bind, room on the server, a legal hold. */
const RULES: PlacementRules = {
  rules: [
    { name: 'health data', when: '"hipaa" in tenant.compliance', model: 'database', require: true },
    { name: 'large plans', when: 'tenant.plan == "enterprise"', model: 'schema' },
    { name: 'trials', when: 'tenant.plan == "trial"', model: 'pooled', standby: true },
  ],
  default: { model: 'pooled' },
}

let platform: Platform
let app: Rowhouse
beforeAll(async () => {
  platform = await createPlatform({ rules: RULES }, HISTORY_SCHEMA)
  app = await platform.openApp()
})
afterAll(() => platform.close())

async function provision(facts: Partial<ProvisioningRequest> = {}): Promise<string> {
  const slug = `t-${randomUUID().slice(0, 8)}`
  await platform.plane.provision({ slug, wish: { server: 'main' }, ...facts })
  await app.withTenant(slug, (db) => db.query(`insert into shipment (reference, weight) values ('one', 1)`))
  return slug
}

const request = (tenant: string, model: 'pooled' | 'schema' | 'database' = 'pooled', server = 'old-1') => ({
  tenant,
  to: { model, server },
  reason: 'a test of moves',
  requestedBy: 'ann',
})
const eventsOf = async (slug: string) => {
  const text = `select e.event, e.actor, e.detail from rowhouse.lifecycle_event e join rowhouse.tenant t on t.id = e.tenant_id
                 where t.slug = $1 and e.event ~ '^region' order by e.id`
  return (await platform.admin.query(text, [slug])).rows
}

describe('the region a tenant may not leave', () => {
  it('is kept by moves, until it is changed', async () => {
    const slug = await provision({ region: 'local' })
    const refusal = {
      code: 'ERR_MOVE_IMPOSSIBLE',
      message: expect.stringMatching(
        /^Cannot move the tenant: its data may not leave region "local", and server "old-1" is in region "eu"; change/,
      ),
    }
    await expect(platform.plane.moves.plan(request(slug))).rejects.toMatchObject(refusal)
    await expect(platform.plane.moves.start(request(slug))).rejects.toMatchObject(refusal)
    expect(await platform.plane.moves.list(slug)).toEqual([])
    // Within the region it moves as it likes.
    expect(await platform.plane.moves.plan(request(slug, 'schema', 'main'))).toMatchObject({
      regions: { from: 'local', to: 'local' },
    })
    const change = { region: 'eu', reason: 'the customer asked for it', by: 'bob' }
    expect(await platform.plane.lifecycle.setRegion(slug, change)).toMatchObject({ region: 'eu', livesIn: 'local' })
    const moved = await platform.plane.moves.start(request(slug))
    expect(moved).toMatchObject({ state: 'switched', outsideRegion: false })
    expect(await platform.plane.lifecycle.show(slug)).toMatchObject({ region: 'eu', livesIn: 'eu' })
    await expect(platform.plane.lifecycle.setRegion(slug, change)).rejects.toMatchObject({ code: 'ERR_TENANT_STATE' })
    await platform.plane.moves.complete(moved.id)
    await expect(platform.plane.moves.start(request(slug, 'pooled', 'main'))).rejects.toMatchObject({
      code: 'ERR_MOVE_IMPOSSIBLE',
    })
    expect(await eventsOf(slug)).toEqual([
      { event: 'region-changed', actor: 'bob', detail: 'local to eu: the customer asked for it' },
    ])
  })

  it('is left by a move that says so, which is written down; without a region nothing is', async () => {
    const slug = await provision({ region: 'local' })
    const asked = { ...request(slug), outsideRegion: true }
    expect(await platform.plane.moves.plan(asked)).toMatchObject({
      regions: { from: 'local', to: 'eu' },
      warnings: ['it leaves region "local", which is written down'],
    })
    const moved = await platform.plane.moves.start(asked)
    expect(moved).toMatchObject({ state: 'switched', outsideRegion: true })
    expect(await platform.plane.lifecycle.show(slug)).toMatchObject({ region: 'local', livesIn: 'eu' })
    expect(await eventsOf(slug)).toEqual([
      { event: 'region-overridden', actor: 'ann', detail: 'from region local to eu: a test of moves' },
    ])
    await platform.plane.moves.revert(moved.id)
    const free = await provision()
    const other = await platform.plane.moves.start({ ...request(free), outsideRegion: true })
    expect(other.outsideRegion).toBe(false)
    expect(await eventsOf(free)).toEqual([])
    await platform.plane.moves.complete(other.id)
  })

  it('is kept with a tenant that was made in advance, too', async () => {
    await platform.plane.standby.fill({ model: 'pooled', server: 'main', count: 1 })
    const slug = await provision({ plan: 'trial', region: 'local', wish: {} })
    expect(await platform.plane.lifecycle.show(slug)).toMatchObject({ region: 'local', livesIn: 'local' })
    const { rows } = await platform.admin.query(`select from rowhouse.tenant where state = 'standby'`)
    expect(rows).toEqual([])
    await expect(platform.plane.moves.plan(request(slug))).rejects.toMatchObject({ code: 'ERR_MOVE_IMPOSSIBLE' })
  })

  it('is set to a region that a server is in, by somebody, with a reason', async () => {
    const slug = await provision()
    const change = { region: 'mars', reason: 'why not', by: 'ann' }
    await expect(platform.plane.lifecycle.setRegion(slug, change)).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
      message: `Cannot set the region of tenant "${slug}" to "mars": no server is in that region; there are eu, local`,
    })
    await expect(platform.plane.lifecycle.setRegion(slug, { ...change, reason: '' })).rejects.toMatchObject({
      code: 'ERR_CAUSE_INVALID',
    })
    expect(await eventsOf(slug)).toEqual([])
  })
})

describe('placement rules', () => {
  it('that bind refuse a move; others warn', async () => {
    const bound = await provision({ compliance: ['hipaa'], wish: { server: 'main', model: 'database' } })
    await expect(platform.plane.moves.start(request(bound))).rejects.toMatchObject({
      code: 'ERR_MOVE_IMPOSSIBLE',
      message:
        'Cannot move the tenant: model "pooled" is weaker than "database", which rule "health data" requires; change the rule, or what it asks about',
    })
    expect(await platform.plane.moves.plan(request(bound, 'database'))).toMatchObject({ warnings: [] })
    const large = await provision({ plan: 'enterprise' })
    expect(await platform.plane.moves.plan(request(large))).toMatchObject({
      warnings: ['the placement rules choose otherwise: wanted model "schema" (rule "large plans" matched)'],
    })
  })

  it('and capacity leave tenants out of a bulk move, each with its reason', async () => {
    const [bound, held, first, second] = await Promise.all([
      provision({ compliance: ['hipaa'], wish: { server: 'main', model: 'database' } }),
      provision({ region: 'local' }),
      provision(),
      provision(),
    ])
    const { tenants } = (await platform.plane.servers.list()).find(({ name }) => name === 'old-1') ?? { tenants: 0 }
    await platform.admin.query(`update rowhouse.server set capacity = $1 where name = 'old-1'`, [tenants + 1])
    const asked = { tenants: [bound, held, first, second], to: { model: 'pooled', server: 'old-1' } as const }
    const plan = await platform.plane.moves.many.plan(asked)
    await platform.admin.query(`update rowhouse.server set capacity = $1 where name = 'old-1'`, [tenants])
    await expect(platform.plane.moves.plan(request(first))).rejects.toMatchObject({
      message: `Cannot move the tenant: server "old-1" is full (${tenants} of ${tenants} tenants)`,
    })
    await platform.admin.query(`update rowhouse.server set capacity = null where name = 'old-1'`)
    expect(plan.tenants.length).toBe(1)
    const reasons = new Map(plan.leftOut.map(({ slug, reason }) => [slug, reason]))
    expect(reasons.get(bound)).toContain('rule "health data" requires')
    expect(reasons.get(held)).toContain('its data may not leave region "local"')
    expect(
      [...reasons.values()].filter((reason) => reason.includes('has no room for it besides the others')).length,
    ).toBe(1)
    expect((await platform.plane.moves.many.plan(asked)).tenants.length).toBe(2)
  })
})

describe('the old home of a tenant under legal hold', () => {
  it('is kept until two people lift the hold, also by SQL; the tenant may move and go back', async () => {
    const slug = await provision()
    const before = await platform.plane.moves.start(request(slug))
    await platform.plane.lifecycle.hold(slug, { reason: 'case 12 of 2026', by: 'ann' })
    const held = { code: 'ERR_TENANT_HELD', message: expect.stringContaining('it is under legal hold') }
    await expect(platform.plane.moves.complete(before.id)).rejects.toMatchObject(held)
    const byHand = platform.admin.query(`update rowhouse.move set state = 'completing' where id = $1`, [before.id])
    await expect(byHand).rejects.toMatchObject({ constraint: 'rowhouse_tenant_held' })
    const { id } = (await platform.plane.tenants.find(slug)) ?? {}
    const left = () => platform.admin.query('select from shipment where tenant_id = $1', [id])
    expect((await left()).rowCount).toBe(1)
    expect(await platform.plane.moves.find(before.id)).toMatchObject({ state: 'switched' })
    await platform.plane.moves.revert(before.id)
    const asked = { ...request(slug), name: 'held' }
    const plan = await platform.plane.moves.many.plan({ tenants: [slug], to: asked.to })
    expect(plan.tenants[0]?.warnings).toEqual(['it is under legal hold: the old home is kept until two people lift it'])
    await platform.plane.moves.many.start({ ...asked, tenants: [slug] })
    expect(await platform.plane.moves.many.complete('held')).toMatchObject({
      done: [],
      failed: [{ slug, code: 'ERR_TENANT_HELD' }],
      record: { state: 'moved' },
    })
    expect((await left()).rowCount).toBe(1)
    await platform.plane.lifecycle.requestLift(slug, { by: 'ann', reason: 'the case is closed' })
    await platform.plane.lifecycle.confirmLift(slug, { by: 'bob' })
    expect(await platform.plane.moves.many.complete('held')).toMatchObject({
      done: [slug],
      record: { state: 'completed' },
    })
    expect((await left()).rowCount).toBe(0)
  })

  it('is not removed any further when a hold is placed after the removal had begun', async () => {
    const slug = await provision()
    const { id } = await platform.plane.moves.start(request(slug))
    await platform.admin.query(`update rowhouse.move set state = 'completing' where id = $1`, [id])
    await platform.plane.lifecycle.hold(slug, { reason: 'case 13 of 2026', by: 'ann' })
    await expect(platform.plane.moves.complete(id)).rejects.toMatchObject({ code: 'ERR_TENANT_HELD' })
    const { rowCount } = await platform.admin.query(
      `select from shipment s join rowhouse.tenant t on t.id = s.tenant_id where t.slug = $1`,
      [slug],
    )
    expect(rowCount).toBe(1)
  })
})
