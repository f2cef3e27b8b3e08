import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPlatform, type Platform } from '../support/platform.ts'

let platform: Platform
beforeAll(async () => {
  platform = await createPlatform()
})
afterAll(() => platform.close())

const MODELS = ['pooled', 'schema', 'database'] as const
const hold = { reason: 'case 12 C 345/26', by: 'Ada' }

/** A tenant whose time is over. */
async function makeLeft(slug: string, model: (typeof MODELS)[number] = 'pooled'): Promise<string> {
  const { id } = await platform.plane.provision({ slug, wish: { model, server: 'main' } })
  await platform.plane.lifecycle.offboard(slug, { reason: 'contract ended', by: 'Ada', retainDays: 0 })
  return id
}

/** As `rowhouse_owner`, by hand; rolled back where it is not refused. */
async function byHand(text: string, values: unknown[] = [], asRole = 'rowhouse_owner'): Promise<string> {
  const client = new pg.Client({ connectionString: platform.central.adminUrl })
  await client.connect()
  try {
    await client.query(`begin; ${asRole === '' ? '' : `set local role ${asRole}`}`)
    for (const statement of text.split(';')) {
      const used = values.slice(0, new Set(statement.match(/\$\d/g)).size)
      await client.query(statement, used)
    }
    await client.query('set constraints all immediate')
    return 'done'
  } catch (error) {
    return (error as { constraint?: string }).constraint ?? (error as Error).message
  } finally {
    await client.query('rollback')
    await client.end()
  }
}

const erasure = `insert into rowhouse.erasure (tenant_id, slug_digest, reason, requested_by, before_retention_ended) values ($1, repeat('a', 64), 'by hand', 'me', true)`
const certified = `update rowhouse.erasure set certificate = '{}', sha256 = repeat('a', 64), hmac = repeat('a', 64) where tenant_id = $1`
const erased = `update rowhouse.tenant set state = 'erased' where id = $1`

/** Every way by which a tenant's place in the registry can go. */
const PATHS = {
  'the erasure begins': erasure,
  'the tenant is deleted': 'delete from rowhouse.tenant where id = $1',
  'its placement is deleted': 'delete from rowhouse.placement where tenant_id = $1',
  'its placement is given away': 'update rowhouse.placement set tenant_id = gen_random_uuid() where tenant_id = $1',
  'all tenants are truncated': 'truncate rowhouse.tenant cascade',
  'all placements are truncated': 'truncate rowhouse.placement',
} as const

describe('a tenant under legal hold', () => {
  it.each(MODELS)('is not erased (%s), not even at once; without the hold it is', async (model) => {
    const slug = `held-${model}`
    await makeLeft(slug, model)
    const placed = await platform.plane.lifecycle.hold(slug, hold)
    for (const request of [{ by: 'Ada' }, { by: 'Ada', now: true, reason: 'they insist' }]) {
      await expect(platform.plane.lifecycle.erase(slug, request)).rejects.toMatchObject({
        code: 'ERR_TENANT_HELD',
        message: `Cannot erase tenant "${slug}": it is under legal hold since ${placed.since.toISOString()} by "Ada"; let two people lift it first`,
      })
    }
    expect((await platform.plane.lifecycle.show(slug)).holds).toMatchObject([{ id: placed.id, reason: hold.reason }])
    await platform.plane.lifecycle.requestLift(slug, { by: 'Ada', reason: 'case closed' })
    await platform.plane.lifecycle.confirmLift(slug, { by: 'Grace' })
    expect(await platform.plane.lifecycle.erase(slug, { by: 'Ada' })).toMatchObject({
      certificate: { home: { model } },
    })
  })

  it.each(Object.entries(PATHS))('stays when by hand %s, and goes when nobody holds it', async (path, text) => {
    const slug = `by-hand-${Object.keys(PATHS).indexOf(path as keyof typeof PATHS)}`
    const id = await makeLeft(slug)
    const values = text.includes('$1') ? [id] : []
    expect(await byHand(text, values)).not.toBe('rowhouse_tenant_held')
    const { id: holdId } = await platform.plane.lifecycle.hold(slug, hold)
    expect(await byHand(text, values)).toBe('rowhouse_tenant_held')
    // Neither as superuser, nor with triggers switched off for the session.
    expect(await byHand(text, values, '')).toBe('rowhouse_tenant_held')
    expect(await byHand(`set local session_replication_role = replica; ${text}`, values, '')).toBe(
      'rowhouse_tenant_held',
    )
    await platform.plane.lifecycle.requestLift(slug, { by: 'Ada', reason: 'case closed', hold: holdId })
    await platform.plane.lifecycle.confirmLift(slug, { by: 'Grace' })
    expect(await byHand(text, values)).not.toBe('rowhouse_tenant_held')
  })

  it('that was placed while the erasure ran does not become erased', async () => {
    const id = await makeLeft('half-way')
    await platform.admin.query(erasure, [id])
    await platform.plane.lifecycle.hold('half-way', hold)
    expect(await byHand(`${certified}; ${erased}`, [id])).toBe('rowhouse_tenant_held')
    await expect(platform.plane.lifecycle.erase('half-way', { by: 'Ada' })).rejects.toMatchObject({
      code: 'ERR_TENANT_HELD',
    })
    await platform.plane.lifecycle.requestLift('half-way', { by: 'Ada', reason: 'case closed' })
    await platform.plane.lifecycle.confirmLift('half-way', { by: 'Grace' })
    expect(await byHand(`${certified}; ${erased}`, [id])).toBe('done')
  })

  it('is not deleted by a transaction that began before the hold', async () => {
    const id = await makeLeft('snapshot')
    const old = new pg.Client({ connectionString: platform.central.adminUrl })
    await old.connect()
    await old.query('begin isolation level repeatable read')
    await old.query('select from rowhouse.tenant where id = $1', [id])
    await platform.plane.lifecycle.hold('snapshot', hold)
    await expect(old.query('delete from rowhouse.placement where tenant_id = $1', [id])).rejects.toMatchObject({
      code: '40001',
    })
    await old.end()
  })

  it('becomes erased by no hand without a certificate, held or not', async () => {
    const id = await makeLeft('no-certificate')
    expect(await byHand(erased, [id])).toBe('rowhouse_tenant_lifecycle')
  })
})

describe('a legal hold', () => {
  const slug = 'two-people'
  const lifecycle = () => platform.plane.lifecycle
  beforeAll(async () => {
    await platform.plane.provision({ slug })
  })

  it('is lifted by two people, not by one under two spellings, nor by hand', async () => {
    const { id } = await lifecycle().hold(slug, hold)
    await expect(lifecycle().confirmLift(slug, { by: 'Grace' })).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
      message: `Cannot lift the hold on tenant "${slug}": nobody has asked for this legal hold to be lifted`,
    })
    const asked = await lifecycle().requestLift(slug, { by: 'Grace', reason: 'case closed' })
    expect(asked).toMatchObject({ liftRequestedBy: 'Grace', liftedBy: undefined })
    for (const by of ['Grace', ' grace ', 'GRACE']) {
      await expect(lifecycle().confirmLift(slug, { by })).rejects.toMatchObject({
        code: 'ERR_SAME_PERSON',
        message: `Cannot lift the hold on tenant "${slug}": who asked for a legal hold to be lifted does not confirm it; let another person confirm`,
      })
    }
    await expect(lifecycle().requestLift(slug, { by: 'Alan', reason: 'case closed' })).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
    })
    const lift = `update rowhouse.legal_hold set lifted_by = 'GRACE', lifted_at = now() where id = $1`
    expect(await byHand(lift, [id])).toBe('rowhouse_same_person')
    const both = `update rowhouse.legal_hold set lift_requested_by = 'a', lift_requested_at = now(), lift_reason = 'abc', lifted_by = 'b', lifted_at = now() where id = $1`
    expect(await byHand(both, [id])).toBe('rowhouse_lift_not_requested')
    expect(await byHand('delete from rowhouse.legal_hold where id = $1', [id])).toBe('rowhouse_tenant_held')
    expect(await byHand('truncate rowhouse.legal_hold')).toBe('rowhouse_tenant_held')
    const elsewhere = 'update rowhouse.legal_hold set tenant_id = gen_random_uuid() where id = $1'
    expect(await byHand(elsewhere, [id])).toBe('rowhouse_tenant_lifecycle')
    expect(await lifecycle().confirmLift(slug, { by: 'Alan' })).toMatchObject({
      liftRequestedBy: 'Grace',
      liftedBy: 'Alan',
    })
    expect((await lifecycle().show(slug)).holds).toEqual([])
    const again = `update rowhouse.legal_hold set lifted_by = null, lifted_at = null where id = $1`
    expect(await byHand(again, [id])).toBe('rowhouse_tenant_lifecycle')
  })

  it('stays when its lifting is withdrawn', async () => {
    await lifecycle().hold(slug, hold)
    await lifecycle().requestLift(slug, { by: 'Grace', reason: 'case closed' })
    expect(await lifecycle().withdrawLift(slug, { by: 'Alan' })).toMatchObject({ liftRequestedBy: undefined })
    await expect(lifecycle().confirmLift(slug, { by: 'Alan' })).rejects.toMatchObject({ code: 'ERR_TENANT_STATE' })
  })

  it('of several is named', async () => {
    const second = await lifecycle().hold(slug, { reason: 'audit of 2026', by: 'Grace' })
    await expect(lifecycle().requestLift(slug, { by: 'Grace', reason: 'case closed' })).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
      message: expect.stringContaining('there are 2 holds; name one of'),
    })
    const asked = await lifecycle().requestLift(slug, { by: 'Grace', reason: 'case closed', hold: second.id })
    expect(asked.id).toBe(second.id)
    await expect(lifecycle().confirmLift(slug, { by: 'Ada', hold: 'another' })).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
      message: `Cannot lift the hold on tenant "${slug}": it is under no hold "another"`,
    })
  })

  it.each([
    ['nobody', hold, 'ERR_TENANT_NOT_FOUND', 'Cannot hold tenant "nobody": it does not exist'],
    [
      slug,
      { reason: '', by: 'Ada' },
      'ERR_CAUSE_INVALID',
      `Cannot hold tenant "${slug}": the reason has 0 characters, wanted 3 to 1000; say why, others will read it`,
    ],
  ])('on "%s" as %o is refused', async (name, request, code, message) => {
    await expect(lifecycle().hold(name, request)).rejects.toMatchObject({ code, message })
  })
})
