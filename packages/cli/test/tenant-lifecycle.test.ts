import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorkplace, type Workplace } from './support/workplace.ts'

const SCHEMA = `create table shipment (tenant_id uuid not null, id bigint not null, primary key (tenant_id, id));`
const CONFIG = `
export default {
  migrations: 'migrations',
  exportTenant: async ({ id }) => ({ reference: 'file:/exports/' + id }),
}
`

let place: Workplace

beforeAll(async () => {
  place = await openWorkplace(SCHEMA, CONFIG)
})
afterAll(() => place.close())

const rowhouse = (...argv: string[]) => place.rowhouse('tenant', ...argv)

describe('rowhouse tenant', () => {
  it('suspend --cause, show, resume, set-plan', async () => {
    await rowhouse('provision', 'acme', '--plan', 'trial')
    const flags = ['--kind', 'unpaid', '--cause', 'invoice 17', '--by', 'Ada']
    expect(await rowhouse('suspend', 'acme', ...flags)).toMatchObject({
      code: 0,
      stdout: 'acme is suspended (unpaid: invoice 17, by Ada), plan trial\n',
    })
    expect(await rowhouse('show', 'acme')).toMatchObject({
      stdout: expect.stringMatching(/suspended +unpaid: invoice 17, by Ada at /),
    })
    expect((await rowhouse('show', 'acme', '--json')).lines()).toMatchObject([
      { slug: 'acme', suspension: { kind: 'unpaid', cause: 'invoice 17' }, holds: [] },
    ])
    expect(await rowhouse('resume', 'acme', '--by', 'Ada')).toMatchObject({
      code: 0,
      stdout: 'acme is active, plan trial\n',
    })
    expect((await rowhouse('set-plan', 'acme', 'pro', '--json')).lines()).toMatchObject([
      { state: 'active', plan: 'pro' },
    ])
    expect(await rowhouse('suspend', 'acme', '--kind', 'mood')).toMatchObject({ code: 2 })
    expect(await rowhouse('suspend', 'acme', '--cause', 'x')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('ERR_CAUSE_INVALID'),
    })
    expect(await rowhouse('resume', 'nobody')).toMatchObject({
      code: 4,
      stderr: 'ERR_TENANT_NOT_FOUND: Cannot resume tenant "nobody": it does not exist\n',
    })
  })

  it('offboard, hold, lift by two, erase, certificate, verify-certificate', async () => {
    expect(await rowhouse('erase', 'acme', '--now', '--reason', 'in a hurry')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('ERR_TENANT_STATE: Cannot erase tenant "acme": it is active'),
    })
    expect(await rowhouse('offboard', 'acme')).toMatchObject({ code: 2, stderr: expect.stringContaining('--reason') })
    const left = await rowhouse('offboard', 'acme', '--reason', 'contract ended', '--by', 'Ada', '--json')
    expect(left.lines().map(({ event, step, state }) => [event, step, state])).toEqual([
      ['step', 'leave', 'done'],
      ['step', 'export', 'done'],
      ['step', 'retain', 'done'],
      ['offboarded', undefined, undefined],
    ])
    const { tenantId } = left.lines().at(-1)
    expect(left.lines().at(-1)).toMatchObject({ exportReference: `file:/exports/${tenantId}` })
    expect(await rowhouse('erase', 'acme')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('ERR_TENANT_RETAINED: Cannot erase tenant "acme": it is retained until'),
    })
    expect(await rowhouse('hold', 'acme', '--reason', 'case 12', '--by', 'Ada')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^acme: hold [0-9a-f-]{36} \(case 12, by Ada at .*\) is held\n$/),
    })
    const erase = ['erase', 'acme', '--now', '--reason', 'asked to be forgotten', '--by', 'Ada']
    expect(await rowhouse(...erase, '--json')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('"code":"ERR_TENANT_HELD"'),
    })
    expect(await rowhouse('request-lift', 'acme', '--reason', 'case closed', '--by', 'Ada')).toMatchObject({ code: 0 })
    expect(await rowhouse('confirm-lift', 'acme', '--by', 'ada')).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('ERR_SAME_PERSON: Cannot lift the hold on tenant "acme"'),
    })
    expect(await rowhouse('withdraw-lift', 'acme', '--by', 'Ada')).toMatchObject({ code: 0 })
    await rowhouse('request-lift', 'acme', '--reason', 'case closed', '--by', 'Ada')
    expect(await rowhouse('confirm-lift', 'acme', '--by', 'Grace')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('is lifted, Ada asked and Grace confirmed'),
    })
    const erased = await rowhouse(...erase, '--backup-days', '35', '--json')
    expect(erased.code).toBe(0)
    const { event, ...sealed } = erased.lines().at(-1)
    expect(event).toBe('erased')
    expect(sealed.certificate).toMatchObject({ tenantId, requestedBy: 'Ada', beforeRetentionEnded: true })
    expect((await rowhouse('certificate', tenantId)).lines()).toEqual([sealed])
    expect(await rowhouse('certificate', 'acme')).toMatchObject({ code: 4 })
    expect(await rowhouse('provision', 'acme')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('ERR_TENANT_SLUG_TAKEN'),
    })
    const file = join(place.folder, 'certificate.json')
    writeFileSync(file, JSON.stringify(sealed))
    expect(await rowhouse('verify-certificate', 'certificate.json')).toMatchObject({ code: 0 })
    writeFileSync(file, JSON.stringify(sealed).replace('"Ada"', '"Eve"'))
    expect(await rowhouse('verify-certificate', file, '--json')).toMatchObject({
      code: 1,
      stdout: '{"valid":false,"fault":"digest"}\n',
    })
    expect(await rowhouse('verify-certificate', '/nowhere')).toMatchObject({ code: 2 })
  })

  it('cancel-offboarding takes a tenant back', async () => {
    await rowhouse('provision', 'back')
    await rowhouse('offboard', 'back', '--reason', 'contract ended')
    expect(await rowhouse('cancel-offboarding', 'back', '--reason', 'changed their mind')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('back is suspended'),
    })
    expect(await rowhouse('resume', 'back')).toMatchObject({ code: 0 })
  })
})
