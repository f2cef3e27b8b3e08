import { openArena } from './arena.ts'
import { type Campaign, type FuzzFailure, runCampaign } from './campaign.ts'
import { type ScratchOptions, withClient } from './scratch.ts'
import { requireWeakness, WEAKNESSES, type Weakness } from './weaknesses.ts'

export interface FuzzOptions {
  /** URL of a login that may create databases on a server where Rowhouse's roles exist, and of any database there. */
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
 * Makes three databases `rowhouse_fuzz_…` beside the given one and drops them at the end, also when it fails or is
 * aborted: all tenants; the acting tenant alone; the acting tenant with the rows of some units only, for contexts limited
 * to those. Every statement has to give the same rows, counts and errors on both sides, and to leave the others' rows alone.
 *
 * @throws {RangeError} for a count, seed or weakness out of range
 * @throws {ConfigError} {@link https://www.postgresql.org | PostgreSQL}'s refusals of the logins, as `createRowhouse` says them
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
  const controls: FuzzControl[] = []
  if (weakness === undefined && options.controls !== false)
    for (const broken of WEAKNESSES) controls.push(await runControl(options, broken, major))
  let startedMs = performance.now()
  const perSecond = (statements: number) => Math.round(statements / ((performance.now() - startedMs) / 1_000))
  const campaign = await inArena({ ...options, weakness }, (arena) => {
    startedMs = performance.now()
    return runCampaign(arena, {
      seed: options.seed,
      from: options.from ?? 0,
      statements: options.statements,
      major,
      kinds: weakness?.kinds,
      maxFailures: weakness === undefined ? MAX_FAILURES : 1,
      signal: options.signal,
      onBatch: (statements, failures) =>
        options.onProgress?.({ statements, of: options.statements, failures, perSecond: perSecond(statements) }),
    })
  })
  return {
    ...campaign.result,
    seed: options.seed,
    from: options.from ?? 0,
    perSecond: Math.round(campaign.result.statements / (campaign.elapsedMs / 1_000)),
    controls,
    void: controls.some(({ fired }) => !fired),
  }
}

/** Breaks the isolation in one way and looks for a statement that shows it. */
async function runControl(options: FuzzOptions, weakness: Weakness, major: number): Promise<FuzzControl> {
  const { result } = await inArena({ ...options, weakness }, (arena) =>
    runCampaign(arena, {
      seed: options.seed,
      from: 0,
      statements: weakness.within,
      major,
      kinds: weakness.kinds,
      maxFailures: 1,
      signal: options.signal,
    }),
  )
  const [failure] = result.failures
  return { name: weakness.name, fired: failure !== undefined, statements: result.statements, failure }
}

async function inArena(
  options: ScratchOptions & { readonly signal?: AbortSignal | undefined },
  run: (arena: Awaited<ReturnType<typeof openArena>>) => Promise<Campaign>,
): Promise<{ result: Campaign; elapsedMs: number }> {
  options.signal?.throwIfAborted()
  const arena = await openArena(options)
  try {
    const startedMs = performance.now()
    return { result: await run(arena), elapsedMs: performance.now() - startedMs }
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
