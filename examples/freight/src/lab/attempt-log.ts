import type { Logger } from 'pino'
import type { Attempt } from './attempt.ts'

export interface LoggedAttempt {
  readonly at: Date
  readonly tenant: string
  readonly attempt: Attempt
}

/** Shown on the page; the log file keeps all. */
const KEPT = 200

/** Writes every attempt to the log, and keeps the newest for the page of their tenant. */
export class AttemptLog {
  readonly #log: Logger
  readonly #newest: LoggedAttempt[] = []

  constructor(log: Logger) {
    this.#log = log
  }

  record(tenant: string, attempts: readonly Attempt[]): void {
    for (const attempt of attempts) {
      const { attack, wall, isControl, verdict, code, sqlState, explanation, sent } = attempt
      const line = { tenant, attack, wall, isControl, verdict, code, sqlState, reason: explanation, sent }
      this.#log.warn(line, 'attack')
      this.#newest.unshift({ at: new Date(), tenant, attempt })
    }
    this.#newest.splice(KEPT)
  }

  /** Returns the newest attempts from one tenant's pages, newest first. */
  newest(tenant: string, limit: number): LoggedAttempt[] {
    return this.#newest.filter((logged) => logged.tenant === tenant).slice(0, limit)
  }
}
