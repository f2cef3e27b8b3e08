import { type Arena, openArena } from './arena.ts'
import { type Campaign, type FuzzFailure, runCampaign } from './campaign.ts'
import { createMould, type Mould, withClient } from './scratch.ts'
import type { Case } from './statement.ts'
import { requireWeakness, WEAKNESSES, type Weakness } from './weaknesses.ts'

export interface FuzzOptions {
  /** URL of a superuser on a server where Rowhouse's roles exist, and of any database there. */
  readonly adminUrl: string
  /** URL of `rowhouse_app` on the same server; the database in it is replaced. */
  readonly appUrl: string
  /** 32 random bytes as hex or base64 for the scratch databases. @defaultValue new ones */
  readonly rootKey?: string
  /** Whole number; the same seed makes the same statements. */
  readonly seed: number
  /** How many statements, at least 1. */
  readonly statements: number
  /** Number of the first one, from 0. @defaultValue 0 */
  readonly from?: number
  /** Runs against isolation broken on purpose, e.g. `update-open`, and stops at the first counterexample. @defaultValue none */
  readonly weakness?: string
  /** Breaks the isolation in every known way first: a fuzzer that does not see that sees nothing. @defaultValue true */
  readonly controls?: boolean
  /** Aborting it ends the run; the scratch databases are dropped first. */
  readonly signal?: AbortSignal
  /** Called about every thousand statements. */
  readonly onProgress?: (progress: FuzzProgress) => void
}

export interface FuzzProgress {
  readonly statements: number
  readonly of: number
  readonly failures: number
  /** Since the first statement of the run, controls left out. */
  readonly perSecond: number
}

/** What became of one weakness: `fired` when a counterexample was found among `statements`. */
export interface FuzzControl {
  readonly name: string
  readonly fired: boolean
  readonly statements: number
  readonly failure: FuzzFailure | undefined
}

export interface FuzzReport extends Campaign {
  readonly seed: number
  readonly from: number
  /** Each counted once, though run in two databases. */
  readonly perSecond: number
  /** Empty when controls were turned off. */
  readonly controls: readonly FuzzControl[]
  /** True when a control did not fire: whatever else the report says, it shows nothing. */
  readonly void: boolean
}

/** A run that goes wrong goes wrong often; ten shrunk failures say what there is to say. */
const MAX_FAILURES = 10

/**
 * Runs generated SQL as one tenant among others and as the same tenant alone, and compares.
 *
 * Makes scratch databases beside the given one and drops them at the end, also when it fails or is aborted:
 * one with all tenants; one with the acting tenant alone; one with only the rows of some of its units, for contexts
 * limited to those. Every statement has to give the same rows, counts and errors on both sides, and to leave the rows of
 * others alone: triggers see each foreign row that is written, also where the statement is rolled back, and some
 * statements are committed and all rows compared afterwards.
 *
 * @throws {RangeError} for a count, seed or weakness out of range
 * @throws {ConfigError} {@link MigrationError} as `install()` and `createRowhouse()` throw them for the two logins
 * @throws whatever `signal` was aborted with
 * @example
 * ```ts
 * import { fuzz } from 'rowhouse-proof'
 * const report = await fuzz({ adminUrl, appUrl, seed: 7, statements: 10_000 })
 * if (report.void || report.failures.length > 0) process.exitCode = 1
 * ```
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  assertOptions(options)
  const weakness = options.weakness === undefined ? undefined : requireWeakness(options.weakness)
  const major = await withClient(options.adminUrl, async (admin) => {
    const { rows } = await admin.query<{ major: number }>(
      `select current_setting('server_version_num')::int / 10000 as major`,
    )
    return rows[0]?.major ?? 0
  })
  options.signal?.throwIfAborted()
  const mould = await createMould(options)
  try {
    const controls: FuzzControl[] = []
    if (weakness === undefined && options.controls !== false)
      for (const broken of WEAKNESSES) controls.push(await runControl(mould, options, broken, major))
    const { campaign, perSecond } = await runMain(mould, options, weakness, major)
    const isVoid = controls.some(({ fired }) => !fired)
    return { ...campaign, seed: options.seed, from: options.from ?? 0, perSecond, controls, void: isVoid }
  } finally {
    await mould.drop()
  }
}

async function runMain(
  mould: Mould,
  { seed, from = 0, statements: of, signal, onProgress }: FuzzOptions,
  weakness: Weakness | undefined,
  major: number,
): Promise<{ campaign: Campaign; perSecond: number }> {
  return inArena(mould, weakness, signal, async (arena) => {
    const startedMs = performance.now()
    const rate = (statements: number) => Math.round(statements / ((performance.now() - startedMs) / 1_000))
    const campaign = await runCampaign(arena, {
      seed,
      from,
      statements: of,
      major,
      only: onlyFor(weakness),
      maxFailures: weakness === undefined ? MAX_FAILURES : 1,
      signal,
      onBatch: (statements, failures) => onProgress?.({ statements, of, failures, perSecond: rate(statements) }),
    })
    return { campaign, perSecond: rate(campaign.statements) }
  })
}

/** Breaks the isolation in one way and looks for a statement that shows it. */
async function runControl(
  mould: Mould,
  { seed, signal }: FuzzOptions,
  weakness: Weakness,
  major: number,
): Promise<FuzzControl> {
  const { name, within } = weakness
  const { failures, statements } = await inArena(mould, weakness, signal, (arena) =>
    runCampaign(arena, { seed, from: 0, statements: within, major, only: onlyFor(weakness), maxFailures: 1, signal }),
  )
  return { name, fired: failures.length > 0, statements, failure: failures[0] }
}

/** Leaves out statements that cannot meet the weakness: they only take time. */
function onlyFor(weakness: Weakness | undefined): ((testCase: Case) => boolean) | undefined {
  if (weakness === undefined) return undefined
  const { kinds, units = false } = weakness
  return (testCase) => (kinds?.includes(testCase.kind) ?? true) && (testCase.units || !units)
}

async function inArena<T>(
  mould: Mould,
  weakness: Weakness | undefined,
  signal: AbortSignal | undefined,
  run: (arena: Arena) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const arena = await openArena(mould, weakness)
  try {
    return await run(arena)
  } finally {
    await arena.close()
  }
}

function assertOptions({ seed, statements, from = 0 }: FuzzOptions): void {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`Cannot fuzz with seed ${seed}: wanted a whole number`)
  if (!Number.isSafeInteger(statements) || statements < 1)
    throw new RangeError(`Cannot fuzz ${statements} statements: wanted a whole number from 1`)
  if (!Number.isSafeInteger(from) || from < 0)
    throw new RangeError(`Cannot start from statement ${from}: wanted a whole number from 0`)
}
