import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { findTenantContext, runWithTenantContext } from '../context/tenant-context.ts'
import type { DirectoryEntry, TenantKey } from '../tenant/directory.ts'
import { MAIN_POOLED } from '../tenant/placement.ts'
import type { Tenant } from '../tenant/tenant.ts'
import { requireTenantId } from '../tenant/tenant-id.ts'
import { createTenantDirectory, type DirectoryOptions } from './tenant-directory.ts'

const slug = (value: string): TenantKey => ({ by: 'slug', value })
const idOf = (n: number) => requireTenantId(`00000000-0000-4000-8000-${String(n).padStart(12, '0')}`)
const tenant = (n: number): Tenant => ({
  id: idOf(n),
  slug: `tenant-${n}`,
  state: 'active',
  plan: 'standard',
  placement: MAIN_POOLED,
  epoch: 1,
  keyVersion: 1,
})

/** Knows tenant-1, tenant-2, …; counts what it is asked. */
function open(options: Partial<DirectoryOptions> = {}) {
  const asked: TenantKey[] = []
  let nowMs = 1
  const directory = createTenantDirectory({
    lookup: async (key): Promise<DirectoryEntry | undefined> => {
      asked.push(key)
      const n = Number(/^tenant-(\d+)/.exec(key.value)?.[1] ?? (key.by === 'api-key' ? 1 : Number.NaN))
      return Number.isNaN(n) ? undefined : { tenant: tenant(n), grant: undefined }
    },
    now: () => nowMs,
    ...options,
  })
  const wait = (ms: number) => {
    nowMs += ms
  }
  return { directory, asked, wait }
}

describe('createTenantDirectory()', () => {
  it('asks once for a name within its lifetime, and again after it', async () => {
    const { directory, asked, wait } = open()
    for (let n = 0; n < 3; n++) expect((await directory.find(slug('tenant-1')))?.tenant).toEqual(tenant(1))
    expect(asked.length).toBe(1)
    wait(30_001)
    await directory.find(slug('tenant-1'))
    expect(asked.length).toBe(2)
  })

  it('asks once for what is asked together, and keeps other names apart', async () => {
    const { directory, asked } = open()
    const names = ['tenant-1', 'tenant-2', 'tenant-1', 'nobody', 'nobody']
    const found = await Promise.all(names.map((name) => directory.find(slug(name))))
    expect(found.map((entry) => entry?.tenant.slug)).toEqual(['tenant-1', 'tenant-2', 'tenant-1', undefined, undefined])
    expect(asked.length).toBe(3)
  })

  it('never takes one kind of name, or one secret, for another', async () => {
    const { directory, asked } = open()
    const secrets = ['a', 'b'].map((digit) => digit.repeat(64))
    await directory.find(slug('tenant-1'))
    await directory.find({ by: 'host', value: 'tenant-1' })
    for (const secretSha256 of secrets) await directory.find({ by: 'api-key', value: 'tenant1', secretSha256 })
    expect(asked.length).toBe(4)
  })

  it('forgets an API key after five seconds, so that a revoked one stops', async () => {
    const { directory, asked, wait } = open()
    const key: TenantKey = { by: 'api-key', value: 'abc', secretSha256: 'a'.repeat(64) }
    await directory.find(key)
    wait(4_900)
    await directory.find(key)
    expect(asked.length).toBe(1)
    wait(200)
    await directory.find(key)
    expect(asked.length).toBe(2)
  })

  it('remembers for a short time that there is nobody', async () => {
    const { directory, asked, wait } = open()
    for (let n = 0; n < 3; n++) expect(await directory.find(slug('nobody'))).toBeUndefined()
    expect(asked.length).toBe(1)
    wait(2_001)
    await directory.find(slug('nobody'))
    expect(asked.length).toBe(2)
  })

  it('loses no tenant to somebody who guesses names', async () => {
    const { directory, asked } = open({ maxEntries: 10, maxNegativeEntries: 10 })
    for (let n = 1; n <= 10; n++) await directory.find(slug(`tenant-${n}`))
    for (let n = 0; n < 1_000; n++) await directory.find({ by: 'host', value: `${n}.guess.test` })
    asked.length = 0
    for (let n = 1; n <= 10; n++) await directory.find(slug(`tenant-${n}`))
    expect(asked).toEqual([])
  })

  it('forgets one tenant under all its names, or all tenants', async () => {
    const { directory, asked } = open()
    const names = [slug('tenant-1'), { by: 'host', value: 'tenant-1' } as const, slug('tenant-2'), slug('nobody')]
    const askAll = async () => {
      asked.length = 0
      for (const name of names) await directory.find(name)
      return asked.map(({ by, value }) => `${by} ${value}`)
    }
    await askAll()
    directory.invalidate(idOf(1))
    expect(await askAll()).toEqual(['slug tenant-1', 'host tenant-1', 'slug nobody'])
    directory.invalidate()
    expect((await askAll()).length).toBe(4)
  })

  it('does not remember an answer that was asked for before it forgot', async () => {
    const answers: ((entry: DirectoryEntry | undefined) => void)[] = []
    const directory = createTenantDirectory({ lookup: () => new Promise((resolve) => answers.push(resolve)) })
    const before = directory.find(slug('tenant-1'))
    directory.invalidate(idOf(1))
    const after = directory.find(slug('tenant-1'))
    answers[0]?.({ tenant: { ...tenant(1), epoch: 1 }, grant: undefined })
    await before
    const joined = directory.find(slug('tenant-1'))
    answers[1]?.({ tenant: { ...tenant(1), epoch: 2 }, grant: undefined })
    expect((await after)?.tenant.epoch).toBe(2)
    expect((await joined)?.tenant.epoch).toBe(2)
    expect((await directory.find(slug('tenant-1')))?.tenant.epoch).toBe(2)
    expect(answers.length).toBe(2)
  })

  it('does not remember that a lookup failed', async () => {
    let fails = true
    const directory = createTenantDirectory({
      lookup: async () => {
        if (fails) throw new RangeError('database away')
        return { tenant: tenant(1), grant: undefined }
      },
    })
    const together = [directory.find(slug('tenant-1')), directory.find(slug('tenant-1'))]
    for (const each of together) await expect(each).rejects.toThrow('database away')
    fails = false
    expect((await directory.find(slug('tenant-1')))?.tenant.slug).toBe('tenant-1')
  })

  it('looks up outside of the tenant whose request asks', async () => {
    const seen: unknown[] = []
    const directory = createTenantDirectory({
      lookup: async () => {
        await Promise.resolve()
        seen.push(findTenantContext())
        return undefined
      },
    })
    const context = { tenant: tenant(1), actor: undefined, units: undefined, readOnly: false, timeoutMs: undefined }
    await runWithTenantContext(context, async () => {
      await directory.find(slug('other'))
      expect(findTenantContext()).toBe(context)
    })
    expect(seen).toEqual([undefined])
  })

  it('gives out what nobody can change for the others', async () => {
    const directory = createTenantDirectory({
      lookup: async () => ({ tenant: tenant(1), grant: { actor: 'key:1', units: ['u'] } }),
    })
    const entry = await directory.find(slug('tenant-1'))
    expect(() => Object.assign(entry?.tenant ?? {}, { id: idOf(2) })).toThrow(TypeError)
    const units = (entry?.grant?.units ?? []) as string[]
    expect(() => units.push('v')).toThrow(TypeError)
    expect(() => Object.assign(entry ?? {}, { tenant: tenant(2) })).toThrow(TypeError)
  })

  it.each([
    { by: 'id', value: `x'; drop table` },
    { by: 'slug', value: 'a' },
    { by: 'slug', value: 'x'.repeat(64) },
    { by: 'slug', value: 'ACME' },
    { by: 'host', value: `${'a'.repeat(254)}` },
    { by: 'host', value: '[::1]' },
    { by: 'api-key', value: '', secretSha256: 'a'.repeat(64) },
    { by: 'api-key', value: 'abc', secretSha256: 'short' },
  ] satisfies TenantKey[])('knows without asking that %j is nobody', async (key) => {
    const { directory, asked } = open()
    expect(await directory.find(key)).toBeUndefined()
    expect(asked).toEqual([])
  })
})

describe('10,000 tenants under two names each', () => {
  it('take less than 50 MB', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const { directory } = open({ maxEntries: 20_000 })
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (let n = 0; n < 10_000; n++) {
      await directory.find(slug(`tenant-${n}`))
      await directory.find({ by: 'host', value: `tenant-${n}.example.com` })
    }
    collectGarbage()
    const usedMb = (process.memoryUsage().heapUsed - before) / 1_048_576
    expect(usedMb).toBeGreaterThan(0.5)
    expect(usedMb).toBeLessThan(50)
    expect((await directory.find(slug('tenant-1')))?.tenant.slug).toBe('tenant-1')
  })
})
