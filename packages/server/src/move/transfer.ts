import type pg from 'pg'
import { escapeLiteral } from 'pg'
import type { OperatorConnections } from '../registry/operator-connections.ts'
import { advanceSequence } from '../tenant-data/advance-sequence.ts'
import { PLAIN_TEXT } from '../tenant-data/checksum.ts'
import { copyKeys, type TablePair, takeKeys } from './captured-keys.ts'
import { type Compared, compareKeys, compareTables } from './compare.ts'
import { pipeRows } from './copy-rows.ts'
import { type MoveHome, type MoveRecord, sameDatabase } from './move-record.ts'
import { assertReferences } from './references.ts'
import { assertUnaltered } from './unaltered.ts'

/** Rows as they are at one moment, and a target in which neither triggers nor foreign keys act: both hold where rows come from. */
const READ = 'begin isolation level repeatable read'
const WRITE = `begin; ${PLAIN_TEXT}; set local session_replication_role = replica`

/** Runs `work` with a transaction at each end; the target commits first, so that taken keys are lost to nobody. */
async function betweenHomes<T>(
  connections: OperatorConnections,
  from: MoveHome,
  to: MoveHome,
  work: (source: pg.PoolClient, target: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return connections.use(from, (source) =>
    connections.use(to, async (target) => {
      const limit = connections.idleLimit()
      await Promise.all([source.query(`${READ}; ${PLAIN_TEXT}; ${limit}`), target.query(`${WRITE}; ${limit}`)])
      const result = await work(source, target)
      await target.query('commit')
      await source.query('commit')
      return result
    }),
  )
}

/**
 * Copies all rows of the tenant, from one snapshot, over whatever an interrupted copy left.
 *
 * @param beforeTable  may throw: then nothing of the copy stays
 * @param onProgress  told of rows and bytes copied so far, after each table and now and then
 */
export async function copyAll(
  connections: OperatorConnections,
  { source: from, target: to, tenantId }: MoveRecord,
  pairs: readonly TablePair[],
  onProgress: (rows: number, bytes: number) => void,
  beforeTable: () => Promise<unknown>,
): Promise<void> {
  let rows = 0
  let bytes = 0
  await betweenHomes(connections, from, to, async (source, target) => {
    for (const { to: table } of pairs) await clear(target, table.from, tenantId)
    for (const { from: there, to: here } of pairs) {
      await beforeTable()
      const query = `select ${here.columnList} from ${there.from} where tenant_id = ${escapeLiteral(tenantId)}`
      rows += await pipeRows(source, query, target, here, (more) => {
        bytes += more
        onProgress(rows, bytes)
      })
      onProgress(rows, bytes)
    }
  })
  // Keys are looked up next. To a planner that does not know of these rows any index will do, also one that finds them all.
  const names = pairs.map(({ to: table }) => table.from.replace(/^only /, ''))
  if (names.length > 0)
    await connections.transact(to, (client) => client.query(`analyze (skip_locked) ${names.join(', ')}`))
}

/** Keys of one round: they are held in memory, however many rows the tenant changes while it is copied. */
const KEYS_PER_ROUND = 20_000
/** Violations of what must be unique, or must not overlap. */
const TAKEN: ReadonlySet<unknown> = new Set(['23505', '23P01'])

/** Brings rows of the target up to what the source has now. Returns how many rows had changed, at least. */
export async function catchUp(
  connections: OperatorConnections,
  { id, tenantId }: MoveRecord,
  from: MoveHome,
  to: MoveHome,
  pairs: readonly TablePair[],
): Promise<number> {
  const round = (atMost?: number) =>
    betweenHomes(connections, from, to, async (source, target) => {
      const { keys, more } = await takeKeys(source, id, atMost)
      const rows = await copyKeys(source, target, pairs, tenantId, keys)
      return more ? Math.max(rows, KEYS_PER_ROUND) : rows
    })
  try {
    return await round(KEYS_PER_ROUND)
  } catch (error) {
    if (!TAKEN.has((error as { code?: unknown }).code)) throw error
    // A unique value has gone to a row of this round from one whose key is captured later: both at once.
    return round()
  }
}

/**
 * As `catchUp`, and then compares every row of both sides. Exact while the tenant writes: keys, rows and checksums of the
 * source are of one snapshot, and nobody but the mover writes to the target.
 */
export function catchUpAndCompare(
  connections: OperatorConnections,
  { id, tenantId }: MoveRecord,
  from: MoveHome,
  to: MoveHome,
  pairs: readonly TablePair[],
): Promise<Compared> {
  return betweenHomes(connections, from, to, async (source, target) => {
    const { keys } = await takeKeys(source, id)
    await copyKeys(source, target, pairs, tenantId, keys)
    await assertReferences(target, pairs, tenantId)
    return compareTables(source, target, pairs, tenantId)
  })
}

/**
 * As `catchUp`, and then compares the rows of those keys: all others were compared after they had changed last.
 *
 * What that rests on is looked at first, with the tables locked against changes of their shape: nobody has altered one
 * since they were paired, and every change was captured.
 */
export function catchUpAndCompareLast(
  connections: OperatorConnections,
  { id, tenantId }: MoveRecord,
  from: MoveHome,
  to: MoveHome,
  pairs: readonly TablePair[],
): Promise<number> {
  return betweenHomes(connections, from, to, async (source, target) => {
    await assertUnaltered(source, target, pairs, id)
    const { keys } = await takeKeys(source, id)
    const count = await copyKeys(source, target, pairs, tenantId, keys)
    await assertReferences(target, pairs, tenantId, keys)
    await compareKeys(source, target, pairs, tenantId, keys)
    return count
  })
}

/** Sequences go on where the old ones are: what they give next must be new in both homes. */
export async function carrySequences(
  connections: OperatorConnections,
  from: MoveHome,
  to: MoveHome,
  pairs: readonly TablePair[],
): Promise<void> {
  const wanted = pairs.flatMap(({ from: there, to: here }) =>
    there.sequences.flatMap(({ column, sequence }) => {
      const own = here.sequences.find((other) => other.column === column)
      const same = own?.sequence === sequence && sameDatabase(from, to)
      return own === undefined || same ? [] : [{ there: sequence, here: own.sequence }]
    }),
  )
  if (wanted.length === 0) return
  const values = await connections.use(from, async (client) => {
    const all: { here: string; value: string }[] = []
    for (const { there, here } of wanted) {
      const text = `select last_value::text as value from ${there} where is_called`
      const { rows } = await client.query<{ value: string }>(text)
      if (rows[0] !== undefined) all.push({ here, value: rows[0].value })
    }
    return all
  })
  await connections.transact(to, async (client) => {
    for (const { here, value } of values) await advanceSequence(client, here, value)
  })
}

async function clear(client: pg.PoolClient, table: string, tenantId: string): Promise<void> {
  await client.query(`delete from ${table} where tenant_id = $1`, [tenantId])
}
