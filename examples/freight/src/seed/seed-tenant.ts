import type { Rowhouse, ScopedDb, Statements, Transaction } from 'rowhouse'
import { insertCompanyBase, makeCompanyBase } from './company-base.ts'
import type { TenantProfile } from './profiles.ts'
import { Random } from './random.ts'
import { Counters, insertShipmentChunk } from './shipment-chunk.ts'

/** How far a tenant's seed has come; kept in its settings and written with each chunk. */
interface SeedState {
  readonly seed: string
  /** Moment the data was made for. A seed that goes on another day keeps it, so that ids and dates agree. */
  readonly asOf: string
  readonly done: number
  readonly total: number
}

export interface TenantSeedRequest {
  readonly profile: TenantProfile
  readonly shipments: number
  readonly seed: string
  readonly asOf: Date
  readonly signal?: AbortSignal | undefined
  /** Called once, with how many shipments an earlier run has left. */
  onFound(shipments: number): void
  /** Called after each commit with how many shipments and rows it brought. */
  onChunk(written: { readonly shipments: number; readonly rows: number }): Promise<void>
}

/** Shipments per transaction: large enough that its cost is in the rows, small enough that a stop waits under a second. */
const CHUNK = 4_000

/**
 * Fills one tenant, or goes on where an interrupted run stopped; a tenant that is full is left alone.
 *
 * Runs as the application does: role `rowhouse_app`, sealed context, one transaction per chunk. The size a tenant
 * was begun with is kept, whatever is asked for later.
 */
export async function seedTenant(rowhouse: Rowhouse, request: TenantSeedRequest): Promise<void> {
  await rowhouse.withTenant({ tenant: request.profile.slug, actor: 'seed' }, async (db) => {
    let state = (await findSeedState(db)) ?? (await beginSeed(db, request))
    request.onFound(state.done)
    while (state.done < state.total) {
      request.signal?.throwIfAborted()
      const { next, ...written } = await writeChunk(db, request, state)
      await request.onChunk(written)
      state = next
    }
  })
}

async function findSeedState(db: Statements, lock = ''): Promise<SeedState | undefined> {
  const row = await db.maybeOne<{ value: SeedState }>(`select value from setting where key = 'seed' ${lock}`)
  return row?.value
}

/** Begins, unless another process has begun in this moment: then its beginning counts. */
async function beginSeed(db: ScopedDb, { profile, seed, asOf, shipments }: TenantSeedRequest): Promise<SeedState> {
  const state: SeedState = { seed, asOf: asOf.toISOString(), done: 0, total: shipments }
  return db.transaction(async (tx) => {
    const claim = `insert into setting (key, value) values ('seed', $1) on conflict do nothing`
    const { rowCount } = await tx.query(claim, [JSON.stringify(state)])
    if (rowCount === 0) return (await findSeedState(tx)) ?? state
    await insertCompanyBase(tx, profile, baseOf(profile, state), state.asOf)
    return state
  })
}

function baseOf(profile: TenantProfile, { seed, asOf, total }: SeedState) {
  return makeCompanyBase(profile, total, Date.parse(asOf), new Random(`${seed} ${profile.slug} base`))
}

/** Writes the chunk after `state`, or nothing when another process has written it. Returns the state afterwards. */
async function writeChunk(db: ScopedDb, { profile }: TenantSeedRequest, state: SeedState) {
  return db.transaction({ timeoutMs: CHUNK_TIMEOUT_MS }, async (tx: Transaction) => {
    const current = await findSeedState(tx, 'for update')
    if (current !== undefined && current.done !== state.done) return { next: current, shipments: 0, rows: 0 }
    const to = Math.min(state.done + CHUNK, state.total)
    const rows = await insertShipmentChunk(tx, {
      profile,
      base: baseOf(profile, state),
      asOfMs: Date.parse(state.asOf),
      from: state.done,
      to,
      total: state.total,
      random: new Random(`${state.seed} ${profile.slug} ${state.done}`),
      counters: await Counters.load(tx),
    })
    const next: SeedState = { ...state, done: to }
    await tx.query(`update setting set value = $1 where key = 'seed'`, [JSON.stringify(next)])
    return { next, shipments: to - state.done, rows }
  })
}

/** A chunk takes about half a second; a machine a hundred times slower should still get through. */
const CHUNK_TIMEOUT_MS = 120_000
