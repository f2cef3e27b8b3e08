import type { TenantContext } from '../context/tenant-context.ts'
import type { Sealer } from '../seal/seal.ts'
import { ContextStatements, commandBytes, type PinnedSettings, type Preamble } from './context-statement.ts'
import type { WireMode } from './pooler-probe.ts'

/** Settings that do not exist: PostgreSQL names them in its error, as SQL alone can raise no error of its own. */
const LAGGING = 'rowhouse.replica_lagging'
const PROMOTED = 'rowhouse.replica_promoted'

/**
 * The context of a read on a replica.
 *
 * Before the seal is set, the server has to be one that follows, and to have replayed what this read must see. The
 * statement behind takes a snapshot of its own, later, as long as the isolation is READ COMMITTED. No lock is taken:
 * moves are fenced on the primary, and a fence older than the position asked for has arrived with it.
 *
 * Were somebody to make one of the two settings, `moving()` would fail in its place; the primary is asked either way.
 */
const REPLICA_CONTEXT_TEXT = `select case
  when pg_advisory_unlock_all() is null or set_config('role', 'none', true) is null then null
  when not pg_is_in_recovery()
    or ($6 <> '' and $6 is distinct from (select system_identifier::text from pg_control_system()))
  then current_setting('${PROMOTED}') is null or rowhouse.moving()
  when pg_last_wal_replay_lsn() >= $1::pg_lsn and current_setting('transaction_isolation') = 'read committed'
  then set_config('rowhouse.seal', $2, true) is null or set_config('transaction_read_only', 'on', true) is null
    or set_config('search_path', $3, true) is null or set_config('row_security', 'on', true) is null
    or set_config('statement_timeout', $4, true) is null or set_config('lock_timeout', $5, true) is null
  else current_setting('${LAGGING}') is null or rowhouse.moving() end`

const RESET = { name: 'rowhouse_reset', text: 'reset all' }
const CONTEXT = { name: 'rowhouse_context_replica', text: REPLICA_CONTEXT_TEXT }

const UNDEFINED_OBJECT = '42704'

/** What a replica's context said: it lags behind what the read must see, or it follows no more. */
export function findReplicaFault(error: unknown): 'lagging' | 'promoted' | undefined {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  if (code !== UNDEFINED_OBJECT) return undefined
  if (String(message).includes(LAGGING)) return 'lagging'
  return String(message).includes(PROMOTED) ? 'promoted' : undefined
}

export interface ReplicaPins extends PinnedSettings {
  readonly lockTimeoutMs: number
}

/** Makes preambles of reads on a replica. */
export class ReplicaContextStatements extends ContextStatements {
  override readonly prepared = [RESET, CONTEXT]
  readonly #sealer: Sealer
  readonly #mode: WireMode
  readonly #pins: ReplicaPins
  readonly #system: string
  readonly #reset: Buffer

  /** @param system  the cluster it has to be of; asked with each read where a pooler stands between */
  constructor(sealer: Sealer, mode: WireMode, pins: ReplicaPins, system: string) {
    super(sealer, mode, pins)
    this.#sealer = sealer
    this.#mode = mode
    this.#pins = pins
    this.#system = mode.pinned ? system : ''
    this.#reset = Buffer.concat(commandBytes(mode, RESET, []))
  }

  override scope(context: TenantContext, _settles: boolean, after?: string): Preamble {
    if (after === undefined) throw new TypeError('Cannot read from a replica without a position it has to have reached')
    const seal = this.#sealer.seal(context)
    const { schema } = seal.tenant.placement
    const { searchPath, statementTimeoutMs, lockTimeoutMs } = this.#pins
    const path = schema === undefined ? searchPath : `${schema},${searchPath}`
    const timeout = String(context.timeoutMs ?? statementTimeoutMs)
    const values = [after, seal.text, path, timeout, String(lockTimeoutMs), this.#system]
    const bytes = commandBytes(this.#mode, CONTEXT, values)
    return this.#mode.pinned
      ? { bytes: Buffer.concat([this.#reset, ...bytes]), commands: 2, tail: this.#reset }
      : { bytes: Buffer.concat(bytes), commands: 1, tail: this.#reset }
  }
}
