import { isRowhouseError } from 'rowhouse'
import type { Uncloned } from '../clone/clone-schema.ts'
import { SCRATCH, toOperatorError } from '../operator/operator-error.ts'
import { type Attack, type Attempt, broken, type Cell, describe, type LaterSurface, type Residual } from './attack.ts'
import { attacksOn, LATER_SURFACES, RESIDUALS } from './attacks.ts'
import type { VerifyModel } from './placing.ts'
import { type Stage, setStage } from './stage.ts'
import type { OpenArena, StageOptions } from './stage-arena.ts'
import type { WeaknessId } from './weaknesses.ts'

/** What became of an attack on one cell. `void`: it broke, or its control did not succeed: that it came to nothing means nothing. */
export type Verdict = 'refused' | 'leaked' | 'not-applicable' | 'void'

export interface VerifiedCell {
  readonly attack: string
  readonly title: string
  readonly target: string
  readonly verb: string
  readonly verdict: Verdict
  /** The error that refused it, what was seen, or why it does not apply. */
  readonly how: string
  /** Whether the same attack succeeded on the weakened copy; undefined where it does not apply. */
  readonly controlFired?: boolean
}

export interface VerifyReport {
  /** How the two tenants lived. */
  readonly model: VerifyModel
  readonly database: string
  readonly server: number
  readonly cells: readonly VerifiedCell[]
  readonly leaked: number
  readonly refused: number
  readonly notApplicable: number
  readonly void: number
  readonly controls: { readonly fired: number; readonly total: number }
  /** Objects the scratch copy lacks: what is not there was not attacked. */
  readonly uncloned: readonly Uncloned[]
  /** Tables without rows, and why. */
  readonly empty: readonly { readonly table: string; readonly reason: string }[]
  readonly residuals: readonly Residual[]
  readonly later: readonly LaterSurface[]
  /** True when nothing leaked and every refusal counts. */
  readonly isolated: boolean
  readonly elapsedMs: number
}

export interface VerifyOptions extends StageOptions {
  /** Told after each database that was attacked; for a line of progress. */
  readonly onProgress?: (done: number, total: number, what: string) => void
  readonly signal?: AbortSignal
}

/**
 * Attacks a schema: every table, key, view and function that `pg_catalog` knows of, by every attack of the catalogue.
 *
 * Works on scratch copies of the schema on the same server, with two tenants whose ids collide; the database itself is
 * only read. Each attack is also run on a copy weakened on purpose, where it has to succeed. The copies are gone at the
 * end, also after an error or an abort.
 *
 * @throws {ConfigError} `ERR_NOT_INSTALLED` where there is no Rowhouse, `ERR_ADMIN_REQUIRED` without the operator's URL,
 *   `ERR_CONFIG_INVALID` when it is none or its login is refused
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING` when the operator's login is no superuser
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`; safe to retry
 */
export async function verify(options: VerifyOptions): Promise<VerifyReport> {
  const started = performance.now()
  options.signal?.throwIfAborted()
  try {
    const stage = await setStage(options)
    try {
      return await attackStage(stage, options, started)
    } finally {
      await stage.close()
    }
  } catch (error) {
    options.signal?.throwIfAborted()
    throw toOperatorError(error, SCRATCH)
  }
}

/** As `verify`, on a stage that is set already. */
export async function attackStage(
  stage: Stage,
  options: Pick<VerifyOptions, 'onProgress' | 'signal'>,
  started = performance.now(),
): Promise<VerifyReport> {
  const runs = runsOf(attacksOn(stage.pair))
  const results = new Map<string, Attempt>()
  const controls = new Map<string, Attempt>()
  let unfit: VerifiedCell | undefined
  try {
    for (const [index, { kind, weakness, attacks }] of runs.entries()) {
      options.signal?.throwIfAborted()
      options.onProgress?.(index, runs.length, weakness === undefined ? `${kind} copy` : `control: ${weakness}`)
      await attackArena(stage, kind, weakness, attacks, weakness === undefined ? results : controls, options.signal)
    }
  } catch (error) {
    // The library serves no such role: nothing else can be attacked, and nothing else needs to be.
    if (!isRowhouseError(error) || error.code !== 'ERR_ISOLATION_ROLE_BYPASSES_RLS') throw error
    unfit = { ...UNFIT_ROLE, how: describe(error) }
  }
  options.onProgress?.(runs.length, runs.length, 'done')
  return judge(stage, results, controls, performance.now() - started, unfit)
}

const UNFIT_ROLE = {
  attack: 'RLS-04',
  title: 'Log in as a role that passes every policy',
  target: 'role of the application',
  verb: 'log in',
  verdict: 'leaked',
} as const

interface Run {
  readonly kind: Attack['arena']
  readonly weakness: WeaknessId | undefined
  readonly attacks: readonly Attack[]
}

/** The intact copies, then one per weakness and kind. */
function runsOf(attacks: readonly Attack[]): Run[] {
  const controls = new Map<string, Run & { attacks: Attack[] }>()
  for (const attack of attacks) {
    const key = `${attack.arena} ${attack.weakness}`
    const run = controls.get(key) ?? { kind: attack.arena, weakness: attack.weakness, attacks: [] }
    run.attacks.push(attack)
    controls.set(key, run)
  }
  const intact = (['whole', 'bare'] as const).map((kind) => ({
    kind,
    weakness: undefined,
    attacks: attacks.filter(({ arena }) => arena === kind),
  }))
  return [...intact, ...controls.values()]
}

async function attackArena(
  stage: Stage,
  kind: Attack['arena'],
  weakness: WeaknessId | undefined,
  attacks: readonly Attack[],
  results: Map<string, Attempt>,
  signal: AbortSignal | undefined,
  change?: string,
): Promise<void> {
  const arena = await stage.openArena(kind, weakness, change)
  try {
    for (const attack of attacks)
      for (const cell of cellsOf(stage, attack)) {
        signal?.throwIfAborted()
        if (whyNotApplicable(stage, attack, cell) === undefined)
          results.set(keyOf(attack, cell), await attempt(arena, attack, cell))
      }
  } finally {
    await arena.close()
  }
}

/** Runs every attack on a copy that somebody has torn a hole into, and returns the first that comes through. */
export async function findLeak(stage: Stage, change: string, signal?: AbortSignal): Promise<string | undefined> {
  for (const kind of ['whole', 'bare'] as const) {
    const results = new Map<string, Attempt>()
    try {
      await attackArena(
        stage,
        kind,
        undefined,
        attacksOn(stage.pair).filter(({ arena }) => arena === kind),
        results,
        signal,
        change,
      )
    } catch (error) {
      // The library does not start on such a database, or no tenant gets through: whoever runs it cannot miss that.
      if (!isRowhouseError(error) || error.retryable) throw error
      return `the library does not serve it: ${describe(error)}`
    }
    for (const [key, { leaked, how }] of results) if (leaked) return `${key.split('\0').join(' ')}: ${how}`
  }
  return undefined
}

/** An attack that breaks has not been refused. */
async function attempt(arena: OpenArena, attack: Attack, cell: Cell): Promise<Attempt> {
  try {
    const place = placeOf(attack)
    return await attack.attempt(place === 'victim' ? arena : await arena.at(place), cell)
  } catch (error) {
    return broken(describe(error))
  }
}

const placeOf = ({ place = 'victim' }: Attack) => place

/** Between two models every table has the same walls, which were attacked one by one where both live alike. */
const TABLES_BETWEEN_MODELS = 3

function cellsOf({ scenes, pair }: Stage, attack: Attack): readonly Cell[] {
  const { facts } = scenes[placeOf(attack)]
  const cells = attack.cells(facts)
  if (pair.attacker === pair.victim) return cells
  const owned = facts.tables.filter(({ tenantColumn, walled }) => walled && tenantColumn !== undefined)
  const few = new Set(owned.slice(0, TABLES_BETWEEN_MODELS).map(({ name }) => name))
  return cells.filter(({ table }) => table !== undefined && few.has(table.name))
}

function whyNotApplicable({ pair, scenes }: Stage, attack: Attack, cell: Cell): string | undefined {
  const never = attack.notFor?.(pair) ?? cell.notApplicable
  if (never !== undefined) return never
  const reason = cell.table === undefined ? undefined : scenes[placeOf(attack)].empty.get(cell.table.name)
  return reason === undefined ? undefined : `no row could be made: ${reason}`
}

function keyOf(attack: Attack, cell: Cell): string {
  return [attack.id, attack.title, cell.target, cell.verb, cell.detail].join('\0')
}

function judge(
  stage: Stage,
  results: ReadonlyMap<string, Attempt>,
  controls: ReadonlyMap<string, Attempt>,
  elapsedMs: number,
  unfit?: VerifiedCell,
): VerifyReport {
  const attacked = attacksOn(stage.pair).flatMap((attack) =>
    cellsOf(stage, attack).map((cell) => judgeCell(stage, attack, cell, results, controls)),
  )
  const cells = unfit === undefined ? attacked : [unfit, ...attacked]
  const count = (verdict: Verdict) => cells.filter((cell) => cell.verdict === verdict).length
  const [leaked, voided] = [count('leaked'), count('void')]
  const { attacker, victim } = stage.pair
  return {
    model: attacker === victim ? attacker : 'hybrid',
    database: stage.survey.database,
    server: stage.survey.server,
    cells,
    leaked,
    refused: count('refused'),
    notApplicable: count('not-applicable'),
    void: voided,
    controls: {
      fired: cells.filter(({ controlFired }) => controlFired === true).length,
      total: cells.filter(({ controlFired }) => controlFired !== undefined).length,
    },
    uncloned: stage.uncloned,
    empty: [...stage.scenes.victim.empty].map(([table, reason]) => ({ table, reason })),
    residuals: RESIDUALS,
    later: LATER_SURFACES,
    isolated: leaked === 0 && voided === 0,
    elapsedMs,
  }
}

function judgeCell(
  stage: Stage,
  attack: Attack,
  cell: Cell,
  results: ReadonlyMap<string, Attempt>,
  controls: ReadonlyMap<string, Attempt>,
): VerifiedCell {
  const named = {
    attack: attack.id,
    title: attack.title,
    target: cell.detail === undefined ? cell.target : `${cell.target} (${cell.detail})`,
    verb: cell.verb,
  }
  const reason = whyNotApplicable(stage, attack, cell)
  const result = results.get(keyOf(attack, cell))
  const control = controls.get(keyOf(attack, cell))
  if (reason !== undefined || result === undefined || control === undefined)
    return { ...named, verdict: 'not-applicable', how: reason ?? 'not run' }
  if (result.leaked) return { ...named, verdict: 'leaked', how: result.how, controlFired: control.leaked }
  if (result.broken === true) return { ...named, verdict: 'void', how: result.how, controlFired: control.leaked }
  if (!control.leaked)
    return {
      ...named,
      verdict: 'void',
      how: `refused (${result.how}), but its control did not succeed either: ${control.how}`,
      controlFired: false,
    }
  return { ...named, verdict: 'refused', how: result.how, controlFired: true }
}
