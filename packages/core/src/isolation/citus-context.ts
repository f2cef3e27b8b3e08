import type { TenantContext } from '../context/tenant-context.ts'
import { ConfigError } from '../errors.ts'
import type { Seal, Sealer } from '../seal/seal.ts'
import { ContextStatements, commandBytes, type PinnedSettings, type Preamble } from './context-statement.ts'
import type { WireMode } from './pooler-probe.ts'

const ROLLBACK = { name: 'rowhouse_rollback', text: 'rollback' }
const BEGIN = { name: 'rowhouse_begin', text: 'begin' }
const COMMIT = { name: 'rowhouse_commit', text: 'commit' }
const SETTLE = { name: 'rowhouse_settle', text: 'set constraints all immediate' }
const RESET = { name: 'rowhouse_reset', text: 'reset all' }
const ENTER = { name: 'rowhouse_enter', text: 'select rowhouse.enter($1, $2)' }
const ENTER_FULL = { name: 'rowhouse_enter_full', text: 'select rowhouse.enter($1, $2, $3, $4)' }

/**
 * The messages around a statement on Citus.
 *
 * Workers learn settings from SET LOCAL inside a block and from nothing else, so the implicit transaction of a flush
 * becomes an explicit one: ROLLBACK, BEGIN, `rowhouse.enter()`, the statement, settling, RESET ALL, COMMIT, Sync. After an
 * error PostgreSQL skips everything up to the Sync, the COMMIT too, and the block stays open and aborted: it holds no
 * lock and reaches no row, and the ROLLBACK in front of the next flush, which may be on its way already, ends it.
 *
 * RESET ALL comes before COMMIT, while Citus still repeats it on the workers.
 */
export class CitusContextStatements extends ContextStatements {
  override readonly prepared = [ROLLBACK, BEGIN, COMMIT, SETTLE, RESET, ENTER, ENTER_FULL]
  override readonly opensBlock = true
  readonly #sealer: Sealer
  readonly #mode: WireMode
  readonly #plain = new WeakMap<Seal, Buffer>()
  readonly #begin: Buffer
  readonly #open: Buffer
  readonly #close: Buffer
  readonly #settleAndClose: Buffer

  /** @throws {ConfigError} `ERR_CONFIG_INVALID` behind a pooler of servers, which cannot be told how Citus repeats settings */
  constructor(sealer: Sealer, mode: WireMode, pins: PinnedSettings) {
    if (mode.pinned || !mode.named) throw poolerRefused()
    super(sealer, mode, pins)
    this.#sealer = sealer
    this.#mode = mode
    const bytes = (...statements: (typeof ROLLBACK)[]) =>
      Buffer.concat(statements.flatMap((statement) => commandBytes(mode, statement, [])))
    this.#begin = bytes(ROLLBACK, RESET)
    this.#open = bytes(ROLLBACK, BEGIN)
    this.#close = bytes(RESET, COMMIT)
    this.#settleAndClose = bytes(SETTLE, RESET, COMMIT)
  }

  override begin(): Preamble {
    return { bytes: this.#begin, commands: 2 }
  }

  override scope(context: TenantContext, settles: boolean): Preamble {
    const tail = settles ? this.#settleAndClose : this.#close
    if (context.readOnly || context.timeoutMs !== undefined) {
      return { bytes: Buffer.concat([this.#open, this.#enterFully(context)]), commands: 3, tail }
    }
    const seal = this.#sealer.seal(context)
    let bytes = this.#plain.get(seal)
    if (bytes === undefined) {
      const values = [this.#sealer.lockKey(context.tenant), seal.text]
      bytes = Buffer.concat([this.#open, ...commandBytes(this.#mode, ENTER, values)])
      this.#plain.set(seal, bytes)
    }
    return { bytes, commands: 3, tail }
  }

  override scopeInTransaction(context: TenantContext): Preamble {
    return { bytes: this.#enterFully(context), commands: 1 }
  }

  #enterFully(context: TenantContext): Buffer {
    const timeout = context.timeoutMs === undefined ? '' : String(context.timeoutMs)
    const { text } = this.#sealer.seal(context)
    const values = [this.#sealer.lockKey(context.tenant), text, timeout, context.readOnly ? 'on' : 'off']
    return Buffer.concat(commandBytes(this.#mode, ENTER_FULL, values))
  }
}

export function poolerRefused(): ConfigError {
  return new ConfigError(
    'ERR_CONFIG_INVALID',
    'Cannot serve tenants of a Citus server through a pooler of servers, or with preparedStatements off: its workers learn the tenant from a setting of the session; connect to the coordinator directly',
  )
}
