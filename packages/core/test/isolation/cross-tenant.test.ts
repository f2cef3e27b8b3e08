import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'

let n: Neighbours
beforeAll(async () => {
  n = await createNeighbours()
})
afterAll(() => n.close())

const lastCrossing = async () =>
  (
    await n.admin.query(
      'select actor, reason, cardinality(tenants) as tenants, writes, outcome from rowhouse.crossing order by opened_at desc limit 1',
    )
  ).rows[0]

describe('crossTenant()', () => {
  it('runs one statement in every tenant and returns each one’s rows apart', async () => {
    const outcomes = await n.rowhouse.crossTenant({ reason: 'INC-42', actor: 'staff:7', tenants: 'all' }, (across) =>
      across.many<{ n: number; tenants: number }>(
        'select count(*)::int as n, count(distinct tenant_id)::int as tenants from item',
      ),
    )
    expect(outcomes).toMatchObject([
      { tenant: { slug: 'acme' }, ok: true, value: [{ n: 3, tenants: 1 }] },
      { tenant: { slug: 'globex' }, ok: true, value: [{ n: 3, tenants: 1 }] },
    ])
    expect(await lastCrossing()).toEqual({
      actor: 'staff:7',
      reason: 'INC-42',
      tenants: 2,
      writes: false,
      outcome: 'done',
    })
  })

  it('is in the log before it runs, and says so when it failed', async () => {
    const attempt = n.rowhouse.crossTenant({ reason: 'INC-43', actor: 'staff:7', tenants: ['acme'] }, async () => {
      expect(await lastCrossing()).toMatchObject({ reason: 'INC-43', outcome: null })
      throw new Error('no luck')
    })
    await expect(attempt).rejects.toThrow('no luck')
    expect(await lastCrossing()).toMatchObject({ reason: 'INC-43', tenants: 1, outcome: 'failed' })
  })

  it('is read-only unless it says otherwise, and a failing tenant does not end the others', async () => {
    const options = { reason: 'INC-44', actor: 'staff:7', tenants: 'all' } as const
    const refused = await n.rowhouse.crossTenant(options, (across) => across.many('delete from item'))
    expect(refused).toMatchObject([
      { ok: false, error: { code: 'ERR_READ_ONLY' } },
      { ok: false, error: { code: 'ERR_READ_ONLY' } },
    ])
    const written = await n.rowhouse.crossTenant({ ...options, write: true }, (across) =>
      across.each(async (db, tenant) => {
        if (tenant.slug === 'acme') throw new Error('skip')
        return (await db.query(`update item set label = label where id = 1`)).rowCount
      }),
    )
    expect(written).toMatchObject([{ ok: false }, { ok: true, value: 1 }])
    expect(await lastCrossing()).toMatchObject({ writes: true })
  })

  it.each([
    ['no reason', { reason: '', actor: 'staff:7', tenants: 'all' }, 'no reason was given'],
    ['a reason of spaces', { reason: '    ', actor: 'staff:7', tenants: 'all' }, 'no reason was given'],
    ['no actor', { reason: 'INC-45', actor: '', tenants: 'all' }, 'no actor was given'],
    ['no tenants', { reason: 'INC-45', actor: 'staff:7', tenants: [] }, 'no tenants were given'],
    [
      'an unknown tenant',
      { reason: 'INC-45', actor: 'staff:7', tenants: ['acme', 'nobody'] },
      'not every named tenant exists',
    ],
  ])('is refused with %s', async (_name, options, message) => {
    await expect(n.rowhouse.crossTenant(options as never, async () => {})).rejects.toMatchObject({
      code: 'ERR_CROSS_TENANT_REFUSED',
      message: expect.stringContaining(message),
    })
  })

  it('is refused inside the work of one tenant', async () => {
    const attempt = n.rowhouse.withTenant('acme', () =>
      n.rowhouse.crossTenant({ reason: 'INC-46', actor: 'x', tenants: 'all' }, async () => {}),
    )
    await expect(attempt).rejects.toMatchObject({
      code: 'ERR_CROSS_TENANT_REFUSED',
      message: expect.stringContaining('inside the work of one tenant'),
    })
  })

  it('keeps each statement inside one tenant: SQL that asks for another still sees its own', async () => {
    const outcomes = await n.rowhouse.crossTenant({ reason: 'INC-47', actor: 'staff:7', tenants: 'all' }, (across) =>
      across.many('select label from item where tenant_id = $1', [n.b.id]),
    )
    expect(outcomes).toMatchObject([
      { ok: true, value: [] },
      { ok: true, value: [{}, {}, {}] },
    ])
  })
})
