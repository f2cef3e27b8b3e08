import { describe, expect, test } from 'vitest'
import { readSession, signSession } from '../src/app/session.ts'
import { formatNumber, periodOf } from '../src/domain/numbering.ts'
import { numberPatternOf } from '../src/lab/lab-tenant.ts'
import { MAX_TENANTS, tenantProfiles } from '../src/seed/profiles.ts'
import { Random } from '../src/seed/random.ts'
import { tenantShares } from '../src/seed/tenant-shares.ts'

describe('formatNumber()', () => {
  test.each([
    ['{branch}-{yyyy}-{seq:5}', 'DXB-2026-00042'],
    ['GLX/{seq:6}/{yy}', 'GLX/000042/26'],
    ['990-{seq:7}{check7}', '990-00000420'],
    ['{seq}', '42'],
  ])('writes %s as %s', (format, number) => {
    expect(formatNumber(format, { sequence: 42, year: 2026, branch: 'DXB' })).toBe(number)
  })

  test('counts anew each year only where the number shows the year', () => {
    expect([periodOf('{yyyy}-{seq}', 2026), periodOf('{yy}/{seq}', 2026), periodOf('{seq}', 2026)]).toEqual([
      '2026',
      '2026',
      '',
    ])
  })
})

describe('readSession()', () => {
  const key = Buffer.alloc(32, 1)
  const now = Date.parse('2026-11-21T00:00:00Z')
  const cookie = signSession({ tenantId: 'tenant-a', personId: 'person-1' }, key, now)

  test('returns the person in the tenant it was signed for', () => {
    expect(readSession(cookie, 'tenant-a', key, now)).toBe('person-1')
  })

  test.each([
    ['of another tenant', cookie, 'tenant-b', key, now],
    ['of another key', cookie, 'tenant-a', Buffer.alloc(32, 2), now],
    ['that has expired', cookie, 'tenant-a', key, now + 13 * 3_600_000],
    ['that names another person', cookie.replace('person-1', 'person-2'), 'tenant-a', key, now],
    ['that names another tenant', cookie.replace('tenant-a', 'tenant-b'), 'tenant-b', key, now],
    ['with something behind it', `${cookie}.x`, 'tenant-a', key, now],
    ['that is none', 'x', 'tenant-a', key, now],
  ])('returns undefined for a cookie %s', (_, value, tenant, secret, at) => {
    expect(readSession(value, tenant, secret, at)).toBeUndefined()
  })
})

describe('tenantProfiles()', () => {
  test('gives every tenant its own slug and shipment numbers no other one has', () => {
    const profiles = tenantProfiles(50)
    expect(new Set(profiles.map(({ slug }) => slug)).size).toBe(50)
    const [acme, globex, third] = profiles
    if (acme === undefined || globex === undefined || third === undefined) throw new Error('There are too few profiles')
    for (const [own, others] of [
      [acme, [globex, third]],
      [globex, [acme, third]],
      [third, [acme, globex]],
    ] as const) {
      const number = formatNumber(own.formats.shipment, {
        sequence: 123_456,
        year: 2026,
        branch: own.branches[0]?.code ?? '',
      })
      expect(number.match(numberPatternOf(own))).toEqual([number])
      for (const other of others) expect(number.match(numberPatternOf(other))).toBeNull()
    }
  })

  test('throws RangeError for more tenants than there are names', () => {
    expect(() => tenantProfiles(MAX_TENANTS + 1)).toThrow(
      new RangeError(`Cannot make ${MAX_TENANTS + 1} tenants: wanted a whole number from 2 to ${MAX_TENANTS}`),
    )
  })
})

test('tenantShares() gives all away, largest first, and everybody some', () => {
  const shares = tenantShares(500_000, 50)
  expect(shares.reduce((sum, share) => sum + share, 0)).toBe(500_000)
  expect(shares).toEqual(shares.toSorted((left, right) => right - left))
  expect(Math.min(...shares)).toBeGreaterThanOrEqual(20)
})

test('Random gives the same for the same seed, and UUIDs of version 7 in the order of time', () => {
  const [one, same, other] = [new Random('a'), new Random('a'), new Random('b')]
  const draw = (random: Random) => Array.from({ length: 5 }, () => random.between(1, 1_000_000))
  expect(draw(one)).toEqual(draw(same))
  expect(draw(one)).not.toEqual(draw(other))
  expect(one.uuid(1_000)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(one.uuid(2_000) > one.uuid(1_000)).toBe(true)
})
