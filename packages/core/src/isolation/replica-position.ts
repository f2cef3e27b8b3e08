import { type LogPosition, parseLsn, parseWriteToken } from './replica-token.ts'

/** Where the primary's log was: everything committed before `askedMs` is at or before `lsn`. */
export interface Sample extends LogPosition {
  readonly timeline: number
  readonly askedMs: number
}

/** The row of `POSITION_TEXT`. */
export interface PositionRow {
  readonly lsn: string
  readonly system: string
  readonly timeline: string
}

/**
 * The insert position, not the written one: with synchronous_commit off, a commit is answered before it is written. The
 * first eight digits of a log file's name are its timeline; the control file learns of a new one only later.
 */
export const POSITION_TEXT = `select pg_current_wal_insert_lsn()::text as lsn,
  (select system_identifier::text from pg_control_system()) as system,
  substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) as timeline`

/** What a read has to see. */
export interface Need {
  /** Everything committed before this moment, in `performance.now()` milliseconds. */
  readonly sinceMs: number
  readonly maxLagMs: number
  /** What a token covers, besides. */
  readonly after: string | undefined
}

/** More are never needed: one is taken per half of the shortest lag allowed, and old ones go. */
const MAX_SAMPLES = 64

/**
 * What this process knows of a primary's position over time.
 *
 * One rule serves own writes and staleness alike: a replica that has replayed what the primary had written at a moment
 * shows at least the data of that moment. So a read needs the oldest sample taken after the tenant's last write and not
 * longer ago than it may lag. No clock but ours is read, an idle primary is no lag, and a replica cut off from its
 * primary cannot look fresh, as it would by its own `pg_last_xact_replay_timestamp()`.
 *
 * Samples are taken when they are needed, one at a time, for all tenants of the server together.
 */
export class PrimaryPosition {
  readonly #now: () => number
  readonly #samples: Sample[] = []
  #running: Promise<Sample> | undefined
  #next: Promise<Sample> | undefined

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get latest(): Sample | undefined {
    return this.#samples.at(-1)
  }

  /**
   * Returns the position a replica must have replayed.
   *
   * @param ask  asks the primary for `POSITION_TEXT`
   */
  async required({ sinceMs, maxLagMs, after }: Need, ask: () => Promise<PositionRow>): Promise<Sample> {
    const nowMs = this.#now()
    const fromMs = Math.max(sinceMs, nowMs - maxLagMs)
    const known = this.#samples.find((sample) => sample.askedMs >= fromMs)
    const sample = known ?? (await this.sample(ask))
    if (known !== undefined && (this.latest?.askedMs ?? 0) < nowMs - maxLagMs / 2) this.sample(ask).catch(() => {})
    return after === undefined ? sample : this.#atLeast(sample, after, nowMs, ask)
  }

  /** Asks the primary where it is now. Those who ask while another asks share the next answer: theirs would be too old. */
  sample(ask: () => Promise<PositionRow>): Promise<Sample> {
    if (this.#running === undefined) return this.#run(ask)
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.#run(ask)
      })
    return this.#next
  }

  async #atLeast(sample: Sample, token: string, nowMs: number, ask: () => Promise<PositionRow>): Promise<Sample> {
    const wanted = parseWriteToken(token)
    const isOurs = wanted?.system === sample.system
    if (isOurs && wanted.lsn <= sample.lsn) return sample
    if (isOurs && wanted.lsn <= (this.latest?.lsn ?? 0n)) return { ...sample, lsn: wanted.lsn }
    // Of another cluster (the tenant moved), made up, or newer than anything we saw: everything until now covers it.
    const fresh = this.#samples.find(({ askedMs }) => askedMs >= nowMs) ?? (await this.sample(ask))
    return isOurs && wanted.lsn < fresh.lsn ? { ...fresh, lsn: wanted.lsn } : fresh
  }

  #run(ask: () => Promise<PositionRow>): Promise<Sample> {
    const askedMs = this.#now()
    const running = ask()
      .then(({ lsn, system, timeline }) => {
        const sample = { askedMs, lsn: parseLsn(lsn), system, timeline: Number.parseInt(timeline, 16) }
        this.#remember(sample)
        return sample
      })
      .finally(() => {
        if (this.#running === running) this.#running = undefined
      })
    this.#running = running
    return running
  }

  #remember(sample: Sample): void {
    const { latest } = this
    // Behind a new primary, positions of the old one mean nothing.
    if (latest !== undefined && (latest.system !== sample.system || latest.timeline !== sample.timeline)) {
      this.#samples.length = 0
    }
    this.#samples.push(sample)
    if (this.#samples.length > MAX_SAMPLES) this.#samples.splice(1, 1)
  }
}

/** Tenants whose last write is remembered one by one; about 100 bytes each. */
const MAX_TENANTS = 50_000

/** When this process last wrote for each tenant. */
export class WriteTimes {
  readonly #times = new Map<string, number>()
  /** Who is not remembered may have written until then. */
  #forgottenMs: number
  readonly #max: number

  /** @param sinceMs  from when on writes are reported here */
  constructor(sinceMs: number, max: number = MAX_TENANTS) {
    this.#forgottenMs = sinceMs
    this.#max = max
  }

  record(tenantId: string, nowMs: number): void {
    this.#times.delete(tenantId)
    this.#times.set(tenantId, nowMs)
    if (this.#times.size <= this.#max) return
    const [oldest, timeMs] = this.#times.entries().next().value as [string, number]
    this.#times.delete(oldest)
    this.#forgottenMs = timeMs
  }

  lastOf(tenantId: string): number {
    return this.#times.get(tenantId) ?? this.#forgottenMs
  }
}
