import { MigrationError } from 'rowhouse'
import { CENTRAL, type HomeAddress, type OperatorConnections } from '../registry/operator-connections.ts'
import { lockHome } from './home-lock.ts'
import { nameOfHome } from './homes.ts'
import type { Freeze } from './migrate-home.ts'

export interface FreezeOptions {
  /** Why, for people, 3 to 1,000 characters. */
  readonly reason: string
  /** Who holds it, for people, 1 to 200 characters. */
  readonly heldBy: string
  /** How long at most, in milliseconds, 1 to 86,400,000. Freezing again with `token` prolongs it. */
  readonly forMs: number
  /** Token of the freeze to prolong. */
  readonly token?: string
}

interface FreezeRow extends Freeze {
  readonly token: string
  readonly held_by: string
}

const FREEZE = `
  insert into rowhouse.ddl_freeze (home, reason, held_by, until) values ($1, $2, $3, now() + $4 * interval '1 ms')
  on conflict (home) do update
    set reason = excluded.reason, held_by = excluded.held_by, until = excluded.until,
        token = case when ddl_freeze.until > now() then ddl_freeze.token else gen_random_uuid() end
    where ddl_freeze.until <= now() or ddl_freeze.token = $5::uuid
  returning token, reason, held_by, until`

const NOTE = `
  update rowhouse.fleet_home set frozen_until = $4, frozen_for = $5 where (server, database_name, schema_name) = ($1, $2, $3)`

/**
 * Keeps migrations out of a home until it is thawed or the time is over, and waits for one that is running there.
 *
 * @returns the token that thaws it, prolongs it, and lets its holder migrate (`freezeToken`)
 * @throws {MigrationError} `ERR_MIGRATION_LOCKED` when somebody else froze it, or a migration did not end in time
 * @throws {RangeError} for `forMs` out of range
 * @example
 * ```ts
 * import { freezeHome, OperatorConnections, thawHome } from 'rowhouse-server'
 * const connections = new OperatorConnections(process.env.ROWHOUSE_ADMIN_URL ?? '')
 * const home = { server: 'eu-1', database: undefined, schema: 't_acme_0123456789ab' }
 * const token = await freezeHome(connections, home, { reason: 'being moved', heldBy: 'mover', forMs: 600_000 })
 * await thawHome(connections, home, token)
 * ```
 */
export async function freezeHome(
  connections: OperatorConnections,
  home: HomeAddress,
  options: FreezeOptions,
): Promise<string> {
  const { reason, heldBy, forMs, token = null } = options
  if (!Number.isInteger(forMs) || forMs < 1 || forMs > 86_400_000) {
    throw new RangeError(`Cannot freeze ${nameOfHome(home)} for ${forMs} ms: wanted 1 to 86400000`)
  }
  const { schema = '' } = home
  // The home decides, so it is told first; the central list only spares visits.
  const frozen = await connections.transact(home, async (client) => {
    await lockHome(client, home)
    const { rows } = await client.query<FreezeRow>(FREEZE, [schema, reason, heldBy, forMs, token])
    if (rows[0] !== undefined) return rows[0]
    const held = await client.query<FreezeRow>(
      'select reason, held_by, until from rowhouse.ddl_freeze where home = $1',
      [schema],
    )
    throw heldByOther(home, held.rows[0])
  })
  await note(connections, home, frozen)
  return frozen.token
}

/**
 * Lets migrations in again. Thawing what is not frozen changes nothing.
 *
 * @throws {MigrationError} `ERR_MIGRATION_LOCKED` when somebody else froze it meanwhile
 */
export async function thawHome(connections: OperatorConnections, home: HomeAddress, token: string): Promise<void> {
  await connections.transact(home, async (client) => {
    await client.query('delete from rowhouse.ddl_freeze where home = $1 and (token = $2 or until <= now())', [
      home.schema ?? '',
      token,
    ])
    const held = await client.query<FreezeRow>(
      'select reason, held_by, until from rowhouse.ddl_freeze where home = $1',
      [home.schema ?? ''],
    )
    if (held.rows[0] !== undefined) throw heldByOther(home, held.rows[0])
  })
  await note(connections, home, undefined)
}

function note(
  connections: OperatorConnections,
  { server, database = '', schema = '' }: HomeAddress,
  freeze: Freeze | undefined,
): Promise<unknown> {
  const values = [server, database, schema, freeze?.until ?? null, freeze?.reason ?? null]
  return connections.transact(CENTRAL, (client) => client.query(NOTE, values))
}

function heldByOther(home: HomeAddress, held: FreezeRow | undefined): MigrationError {
  const by =
    held === undefined ? 'by somebody else' : `by ${held.held_by} until ${held.until.toISOString()}: ${held.reason}`
  return new MigrationError(
    'ERR_MIGRATION_LOCKED',
    `Cannot change the freeze of ${nameOfHome(home)}: it is frozen ${by}; wait, or give its token`,
  )
}
