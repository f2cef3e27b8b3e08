import { freezeHome, thawHome } from '../fleet/freeze.ts'
import { CENTRAL, type HomeAddress, type OperatorConnections } from '../registry/operator-connections.ts'
import type { MoveRecord } from './move-record.ts'

/** Whose freezes those of moves are, in each home. */
export const HELD_BY = 'rowhouse moves'
/** Freezing and thawing take turns: a thaw must not undo the freeze of a move that begins. */
const FREEZE_LOCK = 7_262_374_406
const LONGEST_MS = 86_400_000

/** Keeps migrations out of both homes while rows are copied. Moves share the freeze of shared tables. */
export async function freezeHomes(connections: OperatorConnections, move: MoveRecord): Promise<void> {
  await inTurn(connections, async () => {
    for (const home of [move.source, move.target]) {
      const token = await tokenOf(connections, home)
      await freezeHome(connections, home, {
        reason: 'tenants are being moved',
        heldBy: HELD_BY,
        forMs: LONGEST_MS,
        ...(token === undefined ? {} : { token }),
      })
    }
  })
}

/** Lets migrations in again, unless another move needs the home as it is. */
export async function thawHomes(connections: OperatorConnections, move: MoveRecord): Promise<void> {
  await inTurn(connections, async () => {
    for (const home of [move.source, move.target]) {
      if (await isNeeded(connections, home, move.id)) continue
      const token = await tokenOf(connections, home).catch(() => undefined)
      if (token !== undefined) await thawHome(connections, home, token)
    }
  })
}

/** Runs `work` while no move freezes or thaws a home. */
export async function inTurn<T>(connections: OperatorConnections, work: () => Promise<T>): Promise<T> {
  return connections.transact(CENTRAL, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [FREEZE_LOCK])
    return work()
  })
}

async function tokenOf(connections: OperatorConnections, home: HomeAddress): Promise<string | undefined> {
  const { rows } = await connections.transact(home, (client) =>
    client.query<{ token: string }>('select token from rowhouse.ddl_freeze where home = $1 and held_by = $2', [
      home.schema ?? '',
      HELD_BY,
    ]),
  )
  return rows[0]?.token
}

async function isNeeded(connections: OperatorConnections, home: HomeAddress, moveId: string): Promise<boolean> {
  const { rows } = await connections.transact(CENTRAL, (client) =>
    client.query<{ needed: boolean }>(
      `select exists (
         select from rowhouse.move m, lateral (values (m.source), (m.target)) e (home)
          where m.id <> $1 and m.state in ('preparing', 'copying', 'catching-up', 'cutting', 'reverting')
            and e.home ->> 'server' = $2 and e.home ->> 'database' is not distinct from $3
            and e.home ->> 'schema' is not distinct from $4) as needed`,
      [moveId, home.server, home.database ?? null, home.schema ?? null],
    ),
  )
  return rows[0]?.needed === true
}
