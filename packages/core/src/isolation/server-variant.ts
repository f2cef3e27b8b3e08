import type { Sealer } from '../seal/seal.ts'
import type { ContextStatements, PinnedSettings } from './context-statement.ts'
import type { ServerCheck } from './guarded-client.ts'
import type { WireMode } from './pooler-probe.ts'

/** What differs on a kind of server that is more than PostgreSQL. */
export interface ServerVariant {
  /** Lanes to one database, unless they are turned off. */
  readonly lanes: number
  /** Settings a session starts with, besides those of every kind. */
  readonly startupSettings: Readonly<Record<string, string>>
  /** Asked of each connection, in the round trip of the login check. */
  readonly check: ServerCheck
  /** Makes the messages around statements. @throws {ConfigError} for a way to travel that this kind cannot take */
  contextsOf(sealer: Sealer, mode: WireMode, pins: PinnedSettings): ContextStatements
}
