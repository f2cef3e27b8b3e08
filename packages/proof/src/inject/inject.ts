import { ControlRun } from './control-run.ts'
import { generatePayloads } from './grammar.ts'
import type { InjectionCount, InjectionLeak, InjectionReport, Verdict } from './injection-report.ts'
import { LibraryRun, WAYS, type Way } from './library-run.ts'
import { type Outcome, wasParsed } from './outcome.ts'
import { FAMILIES, type Family, type Payload } from './payload.ts'
import { digestOfWorld } from './probe.ts'
import {
  controlTarget,
  createScratch,
  libraryTarget,
  restoreOwnRows,
  type Scratch,
  stolenSeal,
  WRITES_OWN_ROWS,
} from './scratch.ts'
import { WHOLE } from './spots.ts'

export interface InjectOptions {
  /** URL of a superuser; two scratch databases and two roles of random names are made beside its database, and dropped. */
  readonly adminUrl: string
  /** URL of the application's login, `rowhouse_app`; the name of the database is replaced. */
  readonly appUrl: string
  /** Whole number that turns the combinations of spot, action and disguise. @defaultValue 0 */
  readonly seed?: number
  /** Sends at most so many payloads, taken evenly from all of them. @defaultValue all */
  readonly limit?: number
  /** Aborting it ends the run after the payload that is being sent, and drops everything. */
  readonly signal?: AbortSignal
  readonly onProgress?: (done: number, total: number) => void
}

/** Placements of an action that are tried on the control: forms such as an empty setting fire in none of them. */
const CONTROL_TRIES = 3

/** Payloads between two looks at everybody's rows. */
const BATCH = 64

/**
 * Attacks the library with a grammar of injected SQL as tenant A, and looks after each payload as tenant B.
 *
 * Every payload goes through `rowhouse.db`, a transaction or `rowhouse.pool`, with one connection each, so that the next
 * tenant gets the connection the payload was on. The same payloads run against the textbook's plain setting, where they
 * have to do what they claim.
 *
 * @throws {RangeError} for a seed that is no whole number or a limit below 1
 * @throws whatever `signal` was aborted with; the scratch databases and roles are dropped first
 * @example
 * ```ts
 * const report = await inject({ adminUrl, appUrl })
 * process.exitCode = report.leaks.length === 0 && report.controls.void.length === 0 && report.seesLeaks ? 0 : 1
 * ```
 */
export async function inject(options: InjectOptions): Promise<InjectionReport> {
  const { seed = 0, limit = Number.POSITIVE_INFINITY, signal } = options
  if (!Number.isSafeInteger(seed)) throw new RangeError(`Cannot use seed ${seed}: wanted a whole number`)
  if (!(limit >= 1)) throw new RangeError(`Cannot send ${limit} payloads: wanted at least 1`)
  signal?.throwIfAborted()
  const startedMs = performance.now()
  const scratch = await createScratch(options)
  try {
    const attack = new Attack(scratch, options)
    try {
      await attack.run(seed, limit)
      return attack.report(seed, performance.now() - startedMs)
    } finally {
      await attack.close()
    }
  } finally {
    await scratch.drop()
  }
}

interface Sent {
  readonly payload: Payload
  readonly way: Way
}

/** One run of the proof: what it opened, and what it counted so far. */
class Attack {
  readonly #scratch: Scratch
  readonly #options: InjectOptions
  readonly #counts = new Map<string, { -readonly [Key in keyof InjectionCount]: InjectionCount[Key] }>()
  readonly #leaks: InjectionLeak[] = []
  readonly #fired = new Map<Family, number>()
  readonly #open: { close(): Promise<void> }[] = []
  #texts = 0
  #runs = 0
  #seesLeaks = false

  constructor(scratch: Scratch, options: InjectOptions) {
    this.#scratch = scratch
    this.#options = options
  }

  async run(seed: number, limit: number): Promise<void> {
    const { appUrl, memberUrl, rootKey, admin } = this.#scratch
    const library = this.#keep(await LibraryRun.start(appUrl, rootKey, admin))
    // What changes a role's own defaults must not touch the application's role, which other databases share.
    const member = this.#keep(await LibraryRun.start(memberUrl, rootKey, admin))
    const payloads = generatePayloads(await libraryTarget(this.#scratch, await library.ownSeal()), seed)
    const chosen = everyNth(withoutRepeats(payloads), limit)
    this.#texts = chosen.length
    this.#seesLeaks = await this.#seesStolenSeal(library)
    const sent = chosen.flatMap((payload, index) => waysOf(payload, index).map((way) => ({ payload, way })))
    // Two databases, two sets of connections: neither run sees the other. Both end before anything is closed.
    const ended = await Promise.allSettled([
      this.#sendAll(sent, library, member),
      this.#runControls(seed, new Set(chosen.map((payload) => payload.id))),
    ])
    for (const end of ended) if (end.status === 'rejected') throw end.reason
  }

  report(seed: number, elapsedMs: number): InjectionReport {
    const counts = [...this.#counts.values()]
    const sum = (key: Verdict | 'parsed') => counts.reduce((total, count) => total + count[key], 0)
    const families = [...new Set(counts.map((count) => count.family))]
    const claimed = families.filter((family) => FAMILIES[family] !== 'allowed')
    return {
      seed,
      payloads: this.#texts,
      runs: this.#runs,
      parsed: sum('parsed'),
      verdicts: {
        refused: sum('refused'),
        harmless: sum('harmless'),
        undone: sum('undone'),
        leaked: sum('leaked'),
      },
      counts,
      leaks: this.#leaks,
      controls: {
        fired: claimed.filter((family) => this.#fired.has(family)).length,
        total: claimed.length,
        void: claimed.filter((family) => !this.#fired.has(family)),
        byFamily: Object.fromEntries(this.#fired),
      },
      seesLeaks: this.#seesLeaks,
      elapsedMs,
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.map((part) => part.close()))
  }

  #keep<T extends { close(): Promise<void> }>(part: T): T {
    this.#open.push(part)
    return part
  }

  /** With tenant B's own valid seal the same payloads have to leak, or nothing here could tell. */
  async #seesStolenSeal(library: LibraryRun): Promise<boolean> {
    const seal = await stolenSeal(this.#scratch)
    const text = `select (select string_agg(i.label, ',') from (select set_config('rowhouse.seal', '${seal}', true) as x offset 0) s, lateral (select label from item where s.x is not null offset 0) i)`
    return (await library.send({ text }, 'query')).answer.includes(this.#scratch.canary)
  }

  async #sendAll(sent: readonly Sent[], library: LibraryRun, member: LibraryRun): Promise<void> {
    for (let from = 0; from < sent.length; from += BATCH) {
      await this.#sendBatch(sent.slice(from, from + BATCH), library, member)
      this.#options.onProgress?.(Math.min(from + BATCH, sent.length), sent.length)
    }
  }

  async #sendBatch(batch: readonly Sent[], library: LibraryRun, member: LibraryRun): Promise<void> {
    const { admin, a } = this.#scratch
    const before = await digestOfWorld(admin, a)
    for (const { payload, way } of batch) {
      this.#options.signal?.throwIfAborted()
      await this.#sendOne({ payload, way }, payload.family === 'own role' ? member : library)
    }
    if ((await digestOfWorld(admin, a)) !== before) await this.#findCulprit(batch, library, member)
  }

  async #sendOne({ payload, way }: Sent, run: LibraryRun): Promise<void> {
    const { admin, a, member } = this.#scratch
    if (WRITES_OWN_ROWS.test(payload.text)) await restoreOwnRows(admin, a)
    const outcome = await run.send(payload, way)
    const found = await run.lookAsNext(payload, way)
    if (payload.family === 'own role') await admin.query(`alter role ${member} reset all`)
    if (outcome.answer.includes(this.#scratch.canary)) found.unshift('rows of the other tenant came back')
    if (reached(payload, outcome)) found.unshift('it ran, and no login of an application may do that')
    this.#count(payload, outcome, found)
    if (found.length === 0) return
    this.#leaks.push({ payload, way, found })
    await run.reconnect() // so that the next payload is not blamed for what this one left
  }

  /** Sends a batch again, one by one, to name the payload that changed what is not tenant A's. */
  async #findCulprit(batch: readonly Sent[], library: LibraryRun, member: LibraryRun): Promise<void> {
    const { admin, a } = this.#scratch
    let named = false
    for (const { payload, way } of batch) {
      const before = await digestOfWorld(admin, a)
      await (payload.family === 'own role' ? member : library).send(payload, way)
      if ((await digestOfWorld(admin, a)) === before) continue
      named = true
      this.#leaks.push({ payload, way, found: ['rows or walls of others changed'] })
    }
    const first = batch[0]
    if (named || first === undefined) return
    this.#leaks.push({
      ...first,
      found: [`one of ${batch.length} payloads from this one on changed rows or walls of others`],
    })
  }

  #count(payload: Payload, outcome: Outcome, found: readonly string[]): void {
    const key = `${payload.family}\n${payload.spot}`
    const { family, spot } = payload
    const zero = { family, spot, payloads: 0, parsed: 0, refused: 0, harmless: 0, undone: 0, leaked: 0 }
    const count = this.#counts.get(key) ?? zero
    this.#counts.set(key, count)
    this.#runs++
    count.payloads++
    if (wasParsed(outcome)) count.parsed++
    count[verdictOf(payload, outcome, found)]++
  }

  async #runControls(seed: number, ids: ReadonlySet<string>): Promise<void> {
    const control = this.#keep(await ControlRun.start(this.#scratch))
    const done = new Set<string>()
    const tries = new Map<string, number>()
    for (const payload of generatePayloads(controlTarget(this.#scratch), seed)) {
      const action = `${payload.family}\n${payload.action}`
      if (!ids.has(payload.id) || done.has(action) || FAMILIES[payload.family] === 'allowed') continue
      const tried = tries.get(action) ?? 0
      if (tried === CONTROL_TRIES) continue
      tries.set(action, tried + 1)
      this.#options.signal?.throwIfAborted()
      if (!(await control.fires(payload))) continue
      done.add(action)
      this.#fired.set(payload.family, (this.#fired.get(payload.family) ?? 0) + 1)
    }
  }
}

/** Statements of `reach` families that do nothing for an ordinary login, and say so in a warning or not at all. */
const EMPTY_HANDED: ReadonlySet<string> = new Set([
  'RESET ROLE',
  'RESET SESSION AUTHORIZATION',
  'role none',
  'vacuum item',
  'grant all on item to public',
  'alter default privileges grant all on tables to public',
])

function reached(payload: Payload, { error }: Outcome): boolean {
  return error === undefined && FAMILIES[payload.family] === 'reach' && !EMPTY_HANDED.has(payload.action)
}

function verdictOf(payload: Payload, { error }: Outcome, found: readonly string[]): Verdict {
  if (found.length > 0) return 'leaked'
  if (error !== undefined) return 'refused'
  return FAMILIES[payload.family] === 'poison' ? 'undone' : 'harmless'
}

/** Whole statements go every way, because each way ends them differently; expressions take turns. */
function waysOf(payload: Payload, index: number): readonly Way[] {
  if (payload.spot === WHOLE && payload.disguise === 'plain') return WAYS
  return [WAYS[index % WAYS.length] as Way]
}

function withoutRepeats(payloads: readonly Payload[]): Payload[] {
  const texts = new Set<string>()
  return payloads.filter(({ text }) => !texts.has(text) && texts.add(text))
}

function everyNth(payloads: readonly Payload[], limit: number): readonly Payload[] {
  if (payloads.length <= limit) return payloads
  return Array.from({ length: limit }, (_, index) => payloads[Math.floor((index * payloads.length) / limit)] as Payload)
}
