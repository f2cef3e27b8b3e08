import { describe, expect, it } from 'vitest'
import type { DirectoryEntry, TenantKey } from '../tenant/directory.ts'
import { MAIN_POOLED } from '../tenant/placement.ts'
import { requireTenantId } from '../tenant/tenant-id.ts'
import { createApiKey, fromApiKey } from './api-key.ts'
import { fromFunction } from './from-function.ts'
import { fromSubdomain } from './from-host.ts'
import { createResolver } from './resolver.ts'
import type { TenantSource } from './tenant-source.ts'

const keys = { acme: createApiKey(), globex: createApiKey(), dormant: createApiKey(), nobody: createApiKey() }

function tenant(slug: string): DirectoryEntry['tenant'] {
  const number = ['acme', 'globex', 'dormant'].indexOf(slug)
  const state = slug === 'dormant' ? 'suspended' : 'active'
  const id = requireTenantId(`00000000-0000-4000-8000-00000000000${number}`)
  return { id, slug, state, plan: 'standard', placement: MAIN_POOLED, epoch: 1, keyVersion: 1 }
}

function answer(key: TenantKey): DirectoryEntry | undefined {
  const names = ['acme', 'globex', 'dormant'] as const
  if (key.by !== 'api-key') {
    const slug = names.find((name) => name === key.value)
    return slug && { tenant: tenant(slug), grant: undefined }
  }
  const owner = names.find((name) => keys[name].id === key.value && keys[name].secretSha256 === key.secretSha256)
  return owner && { tenant: tenant(owner), grant: { actor: `key:${owner}`, units: ['u1'] } }
}

const fromHost = fromSubdomain({ base: 'example.com' })
const fromSession = fromFunction('session', (request) => {
  const value = request.header('x-session')
  return value === undefined ? undefined : { by: 'slug', value }
})

async function resolve(host: string, rawHeaders: string[] = [], sources = [fromHost, fromApiKey(), fromSession]) {
  const asked: TenantKey[] = []
  const directory = {
    find: async (key: TenantKey) => {
      asked.push(key)
      return answer(key)
    },
    invalidate() {},
  }
  const resolver = createResolver({ directory, sources })
  const facts = { method: 'GET', target: '/', rawHeaders: ['Host', host, ...rawHeaders], remoteAddress: undefined }
  const outcome = await resolver.resolve(facts).then(
    (resolved) => ({ resolved, error: undefined }),
    (error: Error & { code?: string; cause?: { code?: string } }) => ({ resolved: undefined, error }),
  )
  return { ...outcome, asked }
}

describe('createResolver() resolves', () => {
  it('the tenant that every source names, with what its credential grants', async () => {
    const { resolved } = await resolve('acme.example.com', ['X-Api-Key', keys.acme.key, 'X-Session', 'acme'])
    expect(resolved).toEqual({
      tenant: tenant('acme'),
      actor: 'key:acme',
      units: ['u1'],
      sources: ['subdomain', 'api-key', 'session'],
    })
  })

  it('one source alone, without an actor', async () => {
    const { resolved } = await resolve('acme.example.com')
    expect(resolved).toEqual({ tenant: tenant('acme'), actor: undefined, units: undefined, sources: ['subdomain'] })
  })
})

describe('createResolver() refuses', () => {
  const differ = (names: string) => `Cannot tell the tenant of this request: ${names} name different ones`
  const badKey = 'Cannot accept this api-key: it is unknown, revoked or expired'
  const key = (name: keyof typeof keys) => ['X-Api-Key', keys[name].key]
  type Case = readonly [what: string, host: string, headers: string[], code: string, message: string, cause?: string]
  const foreign = 'ERR_CREDENTIAL_INVALID'
  const cases: readonly Case[] = [
    [
      'nobody named',
      'example.com',
      [],
      'ERR_TENANT_UNRESOLVED',
      'Cannot tell the tenant of this request: no source names one',
    ],
    [
      'an unknown tenant',
      'hooli.example.com',
      [],
      'ERR_TENANT_NOT_FOUND',
      'Cannot serve "hooli": no tenant answers to this slug',
    ],
    [
      'a suspended tenant',
      'dormant.example.com',
      [],
      'ERR_TENANT_SUSPENDED',
      'Cannot serve tenant "dormant": it is suspended',
    ],
    [
      'sources that differ',
      'acme.example.com',
      ['X-Session', 'globex'],
      'ERR_TENANT_AMBIGUOUS',
      differ('subdomain and session'),
    ],
    [
      'a third source that differs',
      'acme.example.com',
      [...key('acme'), 'X-Session', 'globex'],
      'ERR_TENANT_AMBIGUOUS',
      differ('subdomain and session'),
      foreign,
    ],
    [
      'an unknown session beside a good host',
      'acme.example.com',
      ['X-Session', 'hooli'],
      'ERR_TENANT_NOT_FOUND',
      'Cannot serve "hooli": no tenant answers to this slug',
    ],
    ['an unknown key', 'acme.example.com', key('nobody'), 'ERR_CREDENTIAL_INVALID', badKey],
    ['an unknown key without a host', 'example.com', key('nobody'), 'ERR_CREDENTIAL_INVALID', badKey],
    ['an unknown key on an unknown host', 'hooli.example.com', key('nobody'), 'ERR_CREDENTIAL_INVALID', badKey],
    ['an unknown key on a suspended host', 'dormant.example.com', key('nobody'), 'ERR_CREDENTIAL_INVALID', badKey],
    [
      'a foreign key',
      'acme.example.com',
      key('globex'),
      'ERR_TENANT_AMBIGUOUS',
      differ('subdomain and api-key'),
      foreign,
    ],
    [
      'a foreign key on a suspended host',
      'dormant.example.com',
      key('acme'),
      'ERR_TENANT_AMBIGUOUS',
      differ('subdomain and api-key'),
      foreign,
    ],
    [
      'a good key on an unknown host',
      'hooli.example.com',
      key('acme'),
      'ERR_TENANT_NOT_FOUND',
      'Cannot serve "hooli": no tenant answers to this slug',
      foreign,
    ],
  ]
  it.each(cases)('%s', async (_what, host, headers, code, message, cause) => {
    const { error } = await resolve(host as string, headers as never)
    expect(error).toMatchObject({ code, message })
    expect(error?.cause?.code).toBe(cause)
  })

  it('two credentials that both say who acts, whichever comes first', async () => {
    const second: TenantSource = { ...fromApiKey({ header: 'x-other-key' }), name: 'other-key' }
    for (const sources of [
      [fromApiKey(), second],
      [second, fromApiKey()],
    ]) {
      const headers = ['X-Api-Key', keys.acme.key, 'X-Other-Key', keys.acme.key]
      const { error } = await resolve('acme.example.com', headers, sources)
      expect(error).toMatchObject({
        code: 'ERR_REQUEST_MALFORMED',
        message: 'Cannot tell the tenant of this request: it carries two credentials that say who acts',
      })
    }
  })

  it.each([
    ['a bad Host', ['Host', 'x.test']],
    ['a mistyped key', ['X-Api-Key', `${keys.acme.key}x`]],
    ['two sessions', ['X-Session', 'acme', 'X-Session', 'acme']],
  ])('%s before anything is looked up', async (_what, headers) => {
    const { error, asked } = await resolve('acme.example.com', headers)
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_(REQUEST_MALFORMED|CREDENTIAL_INVALID)$/) })
    expect(asked).toEqual([])
  })

  it('nothing on its own: what a source or the directory throws is passed on as it is', async () => {
    const failure = new Error('session store is down')
    const broken = fromFunction('session', () => Promise.reject(failure))
    expect((await resolve('acme.example.com', [], [fromHost, broken])).error).toBe(failure)
  })
})
