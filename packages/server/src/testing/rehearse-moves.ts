import type { ScopedDb } from 'rowhouse'
import { MODELS } from '../placing/placement-rules.ts'
import { type RehearsalOptions, requireRehearsal } from './rehearsal-options.ts'
import {
  percentile,
  type RehearsalReport,
  type RehearsedMove,
  type RehearsedPlace,
  type RehearsedRestore,
} from './rehearsal-report.ts'
import { digestAtHome, rehearseAbort, rehearseMove } from './rehearse-move.ts'
import { rehearseRestore } from './rehearse-restore.ts'
import { openApp, type ScratchTenant, type Stage, withStage } from './stage.ts'
import { findTableGaps, type TableGap } from './table-gaps.ts'

const HOME: RehearsedPlace = { model: 'pooled', server: 'main' }
/** Writes at once before the first move. */
const FILL_AT_ONCE = 4
const SHOWN = 20

/**
 * Rehearses moves and a restore of your own schema on a test database, and says what was lost.
 *
 * Makes two tenants in shared tables of `main` and fills them with `write`. While one of them writes, it is moved through
 * `placements` and back home; the first move is aborted once and reverted once, the others are completed. After each move a
 * process that knows nothing reads, and what it reads is compared with what was acknowledged; rows that nobody writes any more
 * are compared by checksum, those of the other tenant as well. Then half of the rows are deleted past the walls and brought
 * back from a backup. At the end both tenants are erased, also after an error: their certificates stay in the registry. A
 * process that is killed leaves tenants named `rehearsal-…`.
 *
 * What is wrong with the schema or with the functions is in the report; no move that fails throws. Steps of a given `plane` run
 * for both tenants.
 *
 * @param options.url  of a test database: tenants are made and erased there, and tables are locked for moments
 * @returns what was found. Figures in milliseconds; identities in `examples` are those `write` returned
 * @throws {TypeError} when a function is missing, when `write` or `read` fail before anything is moved, or disagree
 * @throws {RangeError} for `rows`, `writers` or `placements` out of range
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED`, `ERR_CONFIG_INVALID`, `ERR_NOT_INSTALLED`, as `openControlPlane` and `createRowhouse` do
 * @throws {MigrationError} `ERR_MIGRATION_INVALID`, `ERR_PRIVILEGE_MISSING`
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`; safe to repeat
 * @throws {AggregateError} around one of these, when something could not be cleaned up
 * @example
 * ```ts
 * import { rehearseMoves } from 'rowhouse-server/testing'
 * const report = await rehearseMoves({
 *   url: process.env.ROWHOUSE_ADMIN_URL,
 *   appUrl: process.env.DATABASE_URL,
 *   rootKey: process.env.ROWHOUSE_ROOT_KEY,
 *   migrations: 'migrations',
 *   write: async (db, n) => {
 *     await db.query('insert into shipment (reference) values ($1)', [`AWB-${n}`])
 *     return `AWB-${n}`
 *   },
 *   read: async (db) => (await db.many<{ reference: string }>('select reference from shipment')).map((row) => row.reference),
 * })
 * console.assert(report.ok, report.faults.join('\n'))
 * ```
 */
export async function rehearseMoves(options: RehearsalOptions): Promise<RehearsalReport> {
  const wanted = requireRehearsal(options)
  const began = performance.now()
  const { result, left } = await withStage(wanted, play)
  const faults = [...result.faults, ...left.map((what) => `was left behind: ${what}`)]
  return { ...result, ok: faults.length === 0, faults, left, ms: performance.now() - began }
}

type Played = Omit<RehearsalReport, 'ok' | 'left' | 'ms'>

async function play(stage: Stage): Promise<Played> {
  const { mover, neighbour, options } = stage
  for (const tenant of [mover, neighbour]) await fill(stage, tenant)
  const judged = new Judged(stage)
  await judged.look()
  judged.assertSpotless()
  const { rows, digest: before } = await digestAtHome(stage, neighbour.slug)
  options.onEvent({ kind: 'filled', rows, neighbour: before })
  const shared = { server: 'main', database: undefined }
  const gaps = await stage.connections.use(shared, (client) => findTableGaps(client))
  const moves = await playMoves(stage, judged)
  const control = { lost: 0, foreign: await judged.foreignControl() }
  const restore = await rehearseRestore(stage, async () => {
    control.lost = await judged.lostControl()
  })
  await judged.look()
  const { digest: after } = await digestAtHome(stage, neighbour.slug)
  const pauses = moves.flatMap(({ pausesMs }) => pausesMs)
  const seen = { moves, gaps, restore, control, neighbour: { before, after } }
  return {
    ...seen,
    ...judged.counts(),
    faults: [...faultsOf(seen), ...judged.faults()],
    writes: mover.history.writes,
    acknowledged: mover.history.acknowledged,
    refused: mover.history.refused,
    pauseMs: { p50: percentile(pauses, 0.5), p99: percentile(pauses, 0.99), max: Math.max(0, ...pauses) },
  }
}

async function playMoves(stage: Stage, judged: Judged): Promise<RehearsedMove[]> {
  const places = stage.options.placements ?? (await allPlaces(stage))
  const [first] = places
  if (first === undefined)
    throw new RangeError('Cannot rehearse moves: there is no other placement than shared tables on "main"')
  const look = () => judged.look()
  const moves = [await rehearseAbort(stage, first), await rehearseMove(stage, first, 'reverted', look)]
  for (const place of [...places, HOME]) moves.push(await rehearseMove(stage, place, 'completed', look))
  return moves
}

/** Shared tables of `main` are where it begins and ends. */
async function allPlaces({ plane }: Stage): Promise<RehearsedPlace[]> {
  const servers = (await plane.servers.list()).filter(({ state, kind }) => state === 'active' && kind !== 'citus')
  const places = servers.flatMap(({ name }) => MODELS.map((model) => ({ model, server: name })))
  return places.filter(({ model, server }) => model !== HOME.model || server !== HOME.server)
}

async function fill(stage: Stage, { slug, history }: ScratchTenant): Promise<void> {
  const { app, options, nextWrite } = stage
  const { prepare, write, rows } = options
  const asTenant = async <T>(what: string, fn: (db: ScopedDb) => Promise<T>): Promise<T> => {
    try {
      return await app.withTenant(slug, fn)
    } catch (error) {
      const { message } = error as Error
      throw new TypeError(`Cannot rehearse moves: "${what}" fails before anything is moved: ${message}`, {
        cause: error,
      })
    }
  }
  if (prepare !== undefined) await asTenant('prepare', prepare)
  let todo = rows
  const work = async () => {
    while (todo > 0) {
      todo -= 1
      const n = nextWrite()
      const identity = await asTenant('write', (db) => write(db, n))
      if (typeof identity !== 'string' || identity === '')
        throw new TypeError(
          `Cannot rehearse moves: "write" returned ${JSON.stringify(identity)}; wanted the identity of what it wrote, a string`,
        )
      history.wrote(identity)
    }
  }
  await Promise.all(Array.from({ length: FILL_AT_ONCE }, work))
}

type Kind = 'lost' | 'doubled' | 'foreign'

/** What was ever found wrong: a row that is lost after one move and back after the next was lost. */
class Judged {
  readonly #stage: Stage
  readonly #found: Readonly<Record<Kind, Set<string>>> = { lost: new Set(), doubled: new Set(), foreign: new Set() }

  constructor(stage: Stage) {
    this.#stage = stage
  }

  /** Reads as both tenants, and compares. */
  async look(): Promise<void> {
    const { mover, neighbour } = this.#stage
    for (const [tenant, other] of [[mover, neighbour] as const, [neighbour, mover] as const]) {
      const verdict = await this.#judge(tenant, other, tenant)
      for (const kind of ['lost', 'doubled', 'foreign'] as const)
        for (const identity of verdict[kind]) this.#found[kind].add(identity)
    }
  }

  /** What was written and is read before anything has happened has to agree, or the functions are wrong. */
  assertSpotless(): void {
    const { lost, doubled, foreign } = this.counts()
    if (lost + doubled + foreign === 0) return
    const [example] = Object.values(this.#found).flatMap((kind) => [...kind])
    throw new TypeError(
      `Cannot rehearse moves: "read" does not return what "write" returned, before anything is moved: ${lost} missing, ${doubled} twice, ${foreign} unknown, such as "${example}"`,
    )
  }

  /** Takes the neighbour's rows for the tenant's own. Returns how many are called foreign: all of them, or the checker is blind. */
  async foreignControl(): Promise<number> {
    const { mover, neighbour } = this.#stage
    return (await this.#judge(mover, neighbour, neighbour)).foreign.length
  }

  /** Looks while rows are missing on purpose. Returns how many more are called lost than before. */
  async lostControl(): Promise<number> {
    const { mover, neighbour } = this.#stage
    const { lost } = await this.#judge(mover, neighbour, mover)
    return lost.filter((identity) => !this.#found.lost.has(identity)).length
  }

  counts(): Readonly<Record<Kind, number>> & Pick<RehearsalReport, 'examples'> {
    const { lost, doubled, foreign } = this.#found
    const some = (kind: Set<string>) => [...kind].slice(0, SHOWN)
    const examples = { lost: some(lost), doubled: some(doubled), foreign: some(foreign) }
    return { lost: lost.size, doubled: doubled.size, foreign: foreign.size, examples }
  }

  faults(): string[] {
    const { lost, doubled, foreign, examples } = this.counts()
    const say = (count: number, what: string, [first]: readonly string[]) =>
      count === 0 ? [] : [`${count} ${what}, such as "${first}"`]
    return [
      ...say(lost, 'acknowledged writes were lost', examples.lost),
      ...say(doubled, 'writes were there twice', examples.doubled),
      ...say(foreign, 'rows of somebody else were there', examples.foreign),
    ]
  }

  /** With an application that was opened now: it remembers no home, and finds tenants where the registry says. */
  async #judge(expected: ScratchTenant, other: ScratchTenant, read: ScratchTenant) {
    const { options } = this.#stage
    const app = await openApp(options)
    try {
      const found = await app.withTenant(read.slug, (db) => options.read(db))
      return expected.history.judge(
        found.map((identity) => ({ identity })),
        other.history.identities,
      )
    } finally {
      await app.close()
    }
  }
}

interface Seen {
  readonly moves: readonly RehearsedMove[]
  readonly gaps: readonly TableGap[]
  readonly restore: RehearsedRestore
  readonly control: RehearsalReport['control']
  readonly neighbour: RehearsalReport['neighbour']
}

function faultsOf({ moves, gaps, restore, control, neighbour }: Seen): string[] {
  return [
    ...gaps.filter(({ isFault }) => isFault).map(({ table, detail }) => `"${table}" ${detail}`),
    ...moves.flatMap(faultsOfMove),
    ...faultsOfRestore(restore),
    ...(neighbour.before === neighbour.after
      ? []
      : ['rows of the neighbour are not what they were before the first move']),
    ...(control.foreign > 0
      ? []
      : ['the checker called no row of the neighbour foreign when it had to: "read" returns nothing']),
    ...(restore.deleted === 0 || control.lost > 0
      ? []
      : ['the checker missed no write after half of the rows were deleted: "read" does not read them']),
  ]
}

function faultsOfMove(rehearsed: RehearsedMove): string[] {
  const { from, to, ended, changedTables, neighbourChangedTables, message, acknowledged } = rehearsed
  const move = `the move from ${from.model} on ${from.server} to ${to.model} on ${to.server}`
  return [
    ...(ended === 'refused' ? [`${move} failed: ${message}`] : []),
    ...((ended === 'completed' || ended === 'reverted') && acknowledged === 0
      ? [`${move} saw no write acknowledged, so it shows nothing`]
      : []),
    ...(changedTables.length > 0 ? [`${move} was ${ended}, and rows changed in ${changedTables.join(', ')}`] : []),
    ...(neighbourChangedTables.length > 0
      ? [`${move} changed rows of the neighbour in ${neighbourChangedTables.join(', ')}`]
      : []),
  ]
}

function faultsOfRestore({ changedTables, neighbourChangedTables, message, deleted }: RehearsedRestore): string[] {
  return [
    ...(message === undefined ? [] : [`rows could not be brought back: ${message}`]),
    ...(message === undefined && deleted === 0
      ? ['no row was deleted, so none was brought back: write more rows']
      : []),
    ...(changedTables.length > 0 ? [`rows brought back are not as they were in ${changedTables.join(', ')}`] : []),
    ...(neighbourChangedTables.length > 0
      ? [`bringing rows back changed rows of the neighbour in ${neighbourChangedTables.join(', ')}`]
      : []),
  ]
}
