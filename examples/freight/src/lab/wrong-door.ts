/** Requests that come to the wrong door: another tenant's id, key, host or header. */

import { createApiKey } from 'rowhouse'
import type { Attempt, Tried } from './attempt.ts'
import type { LabTenant } from './lab-tenant.ts'
import { type LoopbackAnswer, loopbackRequest } from './loopback-request.ts'

interface Probe {
  readonly attack: string
  readonly path: string
  /** Name, value, name, value. */
  readonly headers: readonly string[]
  /** A request that must get a byte-identical answer, so that the answer says nothing. */
  readonly twin?: { readonly path: string; readonly headers: readonly string[] }
  /** What stands in the way, where it is not the front door but a weak one on purpose. */
  readonly weakDoor?: string
}

/** Route of the laboratory that takes the tenant from a header, as the control. */
export const NAIVE_DOOR = '/lab/naive-door'

/** A header Rowhouse knows nothing of: the one it knows is refused before the laboratory sees the request. */
export const NAIVE_HEADER = 'X-Company'

const UNKNOWN_ID = '00000000-0000-7000-8000-000000000001'

function probesFor(own: LabTenant, victim: LabTenant, authority: (slug: string) => string): Probe[] {
  const host = ['Host', authority(own.slug)]
  const ownKey = ['X-Api-Key', own.apiKey]
  const shipments = '/api/shipments'
  return [
    { attack: 'own key at the own door, which is right', path: '/api/me', headers: [...host, ...ownKey] },
    {
      attack: 'id of another tenant',
      path: `${shipments}/${victim.shipmentId}`,
      headers: [...host, ...ownKey],
      twin: { path: `${shipments}/${UNKNOWN_ID}`, headers: [...host, ...ownKey] },
    },
    {
      attack: 'key of another tenant',
      path: shipments,
      headers: [...host, 'X-Api-Key', victim.apiKey],
      twin: { path: shipments, headers: [...host, 'X-Api-Key', createApiKey().key] },
    },
    { attack: 'header names another tenant', path: shipments, headers: [...host, ...ownKey, 'X-Tenant', victim.slug] },
    {
      attack: 'header names another tenant',
      path: NAIVE_DOOR,
      headers: [...host, ...ownKey, NAIVE_HEADER, victim.slug],
      weakDoor: 'Control: a door that believes the header',
    },
    {
      attack: 'own key at the other door',
      path: shipments,
      headers: ['Host', authority(victim.slug), ...ownKey],
    },
    { attack: 'two hosts', path: shipments, headers: [...host, 'Host', authority(victim.slug)] },
    { attack: 'host nobody has', path: shipments, headers: ['Host', authority('nobody-here')] },
    {
      attack: 'host with a trick',
      path: shipments,
      headers: ['Host', `${victim.slug}.localhost@${authority(own.slug)}`],
    },
  ]
}

/** Tries every wrong door. `port` is where this server listens. */
export async function tryWrongDoors(own: LabTenant, victim: LabTenant, port: number): Promise<Attempt[]> {
  const probes = probesFor(own, victim, (slug) => `${slug}.localhost:${port}`)
  return Promise.all(probes.map((probe) => tryDoor(probe, victim, port)))
}

async function tryDoor(probe: Probe, victim: LabTenant, port: number): Promise<Attempt> {
  const [answer, twin] = await Promise.all([
    loopbackRequest(port, probe.path, probe.headers),
    probe.twin === undefined ? undefined : loopbackRequest(port, probe.twin.path, probe.twin.headers),
  ])
  const tried: Tried = {
    attack: probe.attack,
    wall: probe.weakDoor ?? 'The front door',
    isControl: probe.weakDoor !== undefined,
    sent: describe(probe),
  }
  const code = codeOf(answer.body)
  const shared = { ...tried, rows: [], code }
  if (answer.body.includes(victim.id) || answer.body.includes(victim.shipmentNumber)) {
    return { ...shared, verdict: 'leaked', explanation: `Answered ${answer.status} with data of the other tenant` }
  }
  if (twin !== undefined && !isSame(answer, twin)) {
    return { ...shared, verdict: 'leaked', explanation: `Answered otherwise than for something that does not exist` }
  }
  const same = twin === undefined ? '' : ', byte for byte what something that does not exist gets'
  return {
    ...shared,
    verdict: answer.status < 400 ? 'own' : 'refused',
    explanation: `Answered ${answer.status}${same}`,
  }
}

function isSame(left: LoopbackAnswer, right: LoopbackAnswer): boolean {
  return left.status === right.status && left.headers === right.headers && left.body === right.body
}

/** Keys are shown by their beginning: the page must not hand them out. */
function describe({ path, headers }: Probe): string {
  const lines = [`GET ${path}`]
  for (let index = 0; index < headers.length; index += 2) {
    const [name, value = ''] = [headers[index], headers[index + 1]]
    lines.push(`${name}: ${name === 'X-Api-Key' ? `${value.slice(0, 14)}…` : value}`)
  }
  return lines.join('\n')
}

function codeOf(body: string): string | undefined {
  try {
    const { code } = JSON.parse(body) as { code?: unknown }
    return typeof code === 'string' ? code : undefined
  } catch {
    return undefined
  }
}
