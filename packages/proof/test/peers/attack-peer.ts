/** Runs the attacks of `rowhouse verify` against a peer. */

import { type Attack, type Attempt, type Cell, describe } from '../../src/verify/attack.ts'
import { ATTACKS } from '../../src/verify/attacks.ts'
import type { Keys, Peer } from './peer.ts'
import { setPeerStage } from './peer-stage.ts'
import { SURFACES, surfaceOf } from './surface.ts'

/**
 * `empty`: no error where the tenant is missing, and no row either. `outside`: succeeded, on a surface the library does
 * not set out to guard. `absent`: it has no such thing.
 */
export type Verdict = 'refused' | 'leaked' | 'empty' | 'outside' | 'absent'

export interface PeerCell {
  readonly attack: string
  readonly title: string
  readonly target: string
  readonly verb: string
  readonly verdict: Verdict
  readonly how: string
}

export interface AttackPeerOptions {
  readonly adminUrl: string
  readonly peer: Peer
  readonly schema: string
  readonly keys: Keys
  /** Only these attacks. */
  readonly only?: (attack: Attack) => boolean
}

/** @throws Error when an attack breaks: then it has shown nothing, and the comparison would be a guess */
export async function attackPeer({ adminUrl, peer, schema, keys, only }: AttackPeerOptions): Promise<PeerCell[]> {
  const stage = await setPeerStage(adminUrl, peer, schema, keys)
  try {
    const cells: PeerCell[] = []
    for (const attack of ATTACKS.filter((candidate) => only?.(candidate) ?? true)) {
      const open = attack.cells(stage.facts).filter(({ notApplicable }) => notApplicable === undefined)
      if (open.length === 0) continue
      await stage.withArena(attack.arena, async (arena) => {
        for (const cell of open)
          cells.push(toPeerCell(attack, cell, await verdictOf(peer, attack, cell, () => attack.attempt(arena, cell))))
      })
    }
    return cells
  } finally {
    await stage.close()
  }
}

/** Same words for the same cell as in the report of `rowhouse verify`. */
function toPeerCell({ id, title }: Attack, cell: Cell, came: { verdict: Verdict; how: string }): PeerCell {
  const target = cell.detail === undefined ? cell.target : `${cell.target} (${cell.detail})`
  return { attack: id, title, target, verb: cell.verb, ...came }
}

async function verdictOf(
  peer: Peer,
  attack: Attack,
  cell: Cell,
  attempt: () => Promise<Attempt>,
): Promise<{ verdict: Verdict; how: string }> {
  const surface = surfaceOf(attack, cell)
  const offer = peer.surfaces[surface]
  if (offer === 'absent') return { verdict: 'absent', how: `it has no such thing: ${SURFACES[surface]}` }
  const came = await attempt().catch((error: unknown) => {
    throw new Error(`Attack ${attack.id} "${attack.title}" broke on ${cell.target}: ${describe(error)}`)
  })
  if (came.broken === true) throw new Error(`Attack ${attack.id} "${attack.title}" on ${cell.target}: ${came.how}`)
  if (!came.leaked) return { verdict: 'refused', how: came.how }
  if (came.silent === true) return { verdict: 'empty', how: came.how }
  const by = surface === 'context' ? `, by setting ${peer.setting}` : ''
  return { verdict: offer === 'outside' ? 'outside' : 'leaked', how: came.how + by }
}
