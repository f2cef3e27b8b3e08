/** Attacks on finding the tenant of a request: what a client says against what it may say. */

import type { RequestFacts } from 'rowhouse'
import type { Arena } from '../arena.ts'
import { type Attack, expectRefusal, leaked, refused } from '../attack.ts'

interface Request {
  readonly id: Attack['id']
  readonly title: string
  readonly headers: (arena: Arena) => readonly string[]
  readonly target?: string
  readonly remoteAddress?: string
}

const hostOf = (slug: string) => `${slug}.app.test`

const REQUESTS: readonly Request[] = [
  {
    id: 'WEB-01',
    title: "Another tenant's host with the own API key",
    headers: ({ victim, credentials }) => ['Host', hostOf(victim.slug), 'X-Api-Key', credentials.attackerKey],
  },
  {
    id: 'WEB-02',
    title: 'X-Forwarded-Host of a stranger',
    headers: ({ attacker, victim }) => [
      'Host',
      hostOf(attacker.slug),
      'X-Forwarded-Host',
      hostOf(victim.slug),
      'X-Api-Key',
      'none',
    ],
  },
  {
    id: 'WEB-16',
    title: 'A tenant header of a stranger',
    headers: ({ attacker, victim }) => ['Host', hostOf(attacker.slug), 'X-Tenant-Id', victim.slug],
  },
  {
    id: 'WEB-16',
    title: 'A tenant header of a stranger, alone',
    headers: ({ victim }) => ['Host', 'app.test', 'X-Tenant-Id', victim.slug],
  },
  {
    id: 'WEB-19',
    title: 'Two Host headers',
    headers: ({ attacker, victim }) => ['Host', hostOf(victim.slug), 'Host', hostOf(attacker.slug)],
  },
  {
    id: 'WEB-19',
    title: 'A full URL of another host in the request line',
    headers: ({ victim, attacker }) => [
      'Host',
      hostOf(victim.slug),
      'X-Api-Key',
      'none',
      'X-Original-Host',
      hostOf(attacker.slug),
    ],
  },
  {
    id: 'WEB-14',
    title: 'An API key that was made up for the host',
    headers: ({ victim }) => ['Host', hostOf(victim.slug), 'X-Api-Key', 'rh_live_000000000000_0'],
  },
  {
    id: 'WEB-16',
    title: 'A trusted header twice',
    headers: ({ attacker, victim }) => ['Host', 'app.test', 'X-Tenant-Id', victim.slug, 'X-Tenant-Id', attacker.slug],
    remoteAddress: '10.0.0.1',
  },
  {
    id: 'WEB-13',
    title: 'A trusted header that contradicts the API key',
    headers: ({ victim, credentials }) => [
      'Host',
      'app.test',
      'X-Tenant-Id',
      victim.slug,
      'X-Api-Key',
      credentials.attackerKey,
    ],
    remoteAddress: '10.0.0.1',
  },
]

export const webAttacks: readonly Attack[] = REQUESTS.map((request) => ({
  id: request.id,
  title: request.title,
  arena: 'whole',
  weakness: 'careless',
  cells: () => [{ target: 'request', verb: request.title }],
  attempt: (arena) =>
    expectRefusal(
      async () => {
        if (arena.library.resolve === undefined) throw new Error('resolves no requests')
        return arena.library.resolve(factsOf(arena, request))
      },
      (tenant) =>
        tenant === arena.victim.slug
          ? leaked('the request was served as the victim')
          : refused(`served as ${tenant === arena.attacker.slug ? 'the attacker' : 'nobody of the two'}`),
    ),
}))

function factsOf(arena: Arena, { headers, target = '/', remoteAddress = '203.0.113.9' }: Request): RequestFacts {
  return { method: 'GET', target, rawHeaders: headers(arena), remoteAddress }
}
