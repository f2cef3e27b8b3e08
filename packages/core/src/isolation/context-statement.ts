import { serialize } from 'pg-protocol'
import type { TenantContext } from '../context/tenant-context.ts'
import type { Seal, Sealer } from '../seal/seal.ts'
import type { Tenant } from '../tenant/tenant.ts'
import type { WireMode } from './pooler-probe.ts'

/**
 * The messages in front of a scoped statement: the ONE place where a tenant's context is made.
 *
 * They travel in the same flush as the statement and, before the same Sync, form one implicit transaction with it:
 *
 * 1. The context statement drops session advisory locks and a role left behind (0.2 µs each; RESET ALL undoes neither),
 *    takes the tenant's shared advisory lock (a move takes it exclusively) and sets the seal, for this transaction only.
 * 2. The statement.
 * 3. `SET CONSTRAINTS ALL IMMEDIATE`, unless the statement is a read: deferred triggers run while there is a context for
 *    them to run in. For reads it would cost 8 % of the throughput.
 * 4. `RESET ALL` undoes every session setting the statement may have made (`set_config(…, false)` inside a SELECT is
 *    invisible to us); when it failed, its rollback has. Costs 2 µs; four `set_config` calls cost the same.
 *
 * It comes last and not first, because the mode of a transaction (read-only, isolation) is taken from the session when
 * it begins: in front, it would come too late for the next tenant's. A transaction block is cleaned behind its COMMIT.
 *
 * Values travel as parameters. OR and CASE are evaluated in the order written.
 */
const LOCK_AND_SEAL = `case
  when pg_advisory_unlock_all() is null or set_config('role', 'none', true) is null then null
  when pg_try_advisory_xact_lock_shared($1::bigint) then set_config('rowhouse.seal', $2, true) is null`

const CONTEXT_TEXT = `select ${LOCK_AND_SEAL} else rowhouse.moving() end`

/** As above, for a tenant in a schema of its own: names lead there first. */
const HOME_CONTEXT_TEXT = `select ${LOCK_AND_SEAL} or set_config('search_path', $3, true) is null
  else rowhouse.moving() end`

/** As above, with what only some work needs: a timeout of its own, read-only, and the lock for old snapshots. */
const FULL_CONTEXT_TEXT = `select ${LOCK_AND_SEAL}
    or ($3 <> '' and set_config('statement_timeout', $3, true) is null)
    or ($4 = 'on' and set_config('transaction_read_only', 'on', true) is null)
    or (current_setting('transaction_isolation') in ('repeatable read', 'serializable')
        and current_setting('transaction_read_only') = 'off' and not rowhouse.hold())
    or ($5 <> '' and set_config('search_path', $5, true) is null)
  else rowhouse.moving() end`

/** Poolers of servers (PgBouncer) pin nothing for us at connection start, so each context statement does. */
const PINNED_CONTEXT_TEXT = `select ${LOCK_AND_SEAL}
    or set_config('search_path', $5, true) is null or set_config('row_security', 'on', true) is null
    or set_config('statement_timeout', case when $3 <> '' then $3 else $6 end, true) is null
    or ($4 = 'on' and set_config('transaction_read_only', 'on', true) is null)
    or (current_setting('transaction_isolation') in ('repeatable read', 'serializable')
        and current_setting('transaction_read_only') = 'off' and not rowhouse.hold())
  else rowhouse.moving() end`

/** What policies ask, without a table: fails where the seal is not accepted. */
export const ASSERT_RESIDENT = 'select coalesce((select id from rowhouse.sealed), rowhouse.reject())'

export interface PreparedStatement {
  readonly name: string
  readonly text: string
}

const TAIL_STATEMENTS: readonly PreparedStatement[] = [
  { name: 'rowhouse_settle', text: 'set constraints all immediate' },
  { name: 'rowhouse_reset', text: 'reset all' },
]

/** Statements a connection prepares once, under names of ours. */
const DIRECT_STATEMENTS: readonly PreparedStatement[] = [
  ...TAIL_STATEMENTS,
  { name: 'rowhouse_context', text: CONTEXT_TEXT },
  { name: 'rowhouse_context_home', text: HOME_CONTEXT_TEXT },
  { name: 'rowhouse_context_full', text: FULL_CONTEXT_TEXT },
]

const PINNED_STATEMENTS: readonly PreparedStatement[] = [
  ...TAIL_STATEMENTS,
  { name: 'rowhouse_context_pinned', text: PINNED_CONTEXT_TEXT },
]

/** Messages around a statement: those in front, how many CommandComplete answers they will get, and those behind. */
export interface Preamble {
  readonly bytes: Buffer
  readonly commands: number
  /** Sent before the Sync. Its answers come after the statement's own. */
  readonly tail?: Buffer
}

const NOTHING = Buffer.alloc(0)

export interface PinnedSettings {
  readonly searchPath: string
  readonly statementTimeoutMs: number
}

/**
 * Makes preambles for one way to travel. With `named`, statements prepared under names; otherwise (PgBouncer before
 * 1.21) unnamed ones throughout: an unnamed context in front of a named user statement would corrupt statement tracking
 * (26000).
 */
export class ContextStatements {
  /** What a connection prepares before it serves. */
  readonly prepared: readonly PreparedStatement[]
  /** True where `scope` opens a transaction block, which an error leaves open until the next scope or `begin` ends it. */
  readonly opensBlock: boolean = false
  readonly #sealer: Sealer
  readonly #mode: WireMode
  readonly #pins: PinnedSettings
  readonly #plain = new WeakMap<Seal, Buffer>()
  readonly #reset: Buffer
  readonly #settle: Buffer

  constructor(sealer: Sealer, mode: WireMode, pins: PinnedSettings) {
    this.prepared = mode.pinned ? PINNED_STATEMENTS : DIRECT_STATEMENTS
    this.#sealer = sealer
    this.#mode = mode
    this.#pins = pins
    this.#reset = Buffer.concat(this.#command('rowhouse_reset', 'reset all', []))
    const settle = this.#command('rowhouse_settle', 'set constraints all immediate', [])
    this.#settle = Buffer.concat([...settle, this.#reset])
  }

  /** In front of BEGIN: a clean session; the context follows with the first statement of the block. */
  begin(): Preamble {
    return { bytes: this.#reset, commands: 1 }
  }

  /** Around COMMIT and ROLLBACK: what the block set for the session ends with it. */
  end(): Preamble {
    return { bytes: NOTHING, commands: 0, tail: this.#reset }
  }

  /**
   * Around a statement outside of a transaction block.
   *
   * @param settles  whether it may leave work to deferred triggers
   * @param _after  for replicas: the position they must have replayed
   */
  scope(context: TenantContext, settles: boolean, _after?: string): Preamble {
    const seal = this.#sealer.seal(context)
    const tail = settles ? this.#settle : this.#reset
    if (this.#mode.pinned) {
      // A server connection behind a pooler may come from a process that never cleaned up.
      return { bytes: Buffer.concat([this.#reset, ...this.#full(context, seal)]), commands: 2, tail }
    }
    if (context.readOnly || context.timeoutMs !== undefined) {
      return { bytes: Buffer.concat(this.#full(context, seal)), commands: 1, tail }
    }
    let bytes = this.#plain.get(seal)
    if (bytes === undefined) {
      const values = [this.#sealer.lockKey(context.tenant), seal.text]
      const path = this.#homePath(seal.tenant)
      bytes = Buffer.concat(
        path === undefined
          ? this.#command('rowhouse_context', CONTEXT_TEXT, values)
          : this.#command('rowhouse_context_home', HOME_CONTEXT_TEXT, [...values, path]),
      )
      this.#plain.set(seal, bytes)
    }
    return { bytes, commands: 1, tail }
  }

  /** Returns the schema a statement of this context is prepared for; undefined for the application's. */
  homeOf(context: TenantContext): string | undefined {
    return this.#sealer.currentTenant(context.tenant).placement.schema
  }

  /** In front of the first statement inside a transaction block. */
  scopeInTransaction(context: TenantContext): Preamble {
    return { bytes: Buffer.concat(this.#full(context, this.#sealer.seal(context))), commands: 1 }
  }

  #full(context: TenantContext, seal: Seal): Buffer[] {
    const timeout = context.timeoutMs === undefined ? '' : String(context.timeoutMs)
    const values = [this.#sealer.lockKey(context.tenant), seal.text, timeout, context.readOnly ? 'on' : 'off']
    const path = this.#homePath(seal.tenant)
    if (!this.#mode.pinned) return this.#command('rowhouse_context_full', FULL_CONTEXT_TEXT, [...values, path ?? ''])
    const { searchPath, statementTimeoutMs } = this.#pins
    const pinned = [...values, path ?? searchPath, String(statementTimeoutMs)]
    return this.#command('rowhouse_context_pinned', PINNED_CONTEXT_TEXT, pinned)
  }

  /** The tenant's schema in front of the application's, where reference tables are; undefined without one. */
  #homePath({ placement }: Tenant): string | undefined {
    return placement.schema === undefined ? undefined : `${placement.schema},${this.#pins.searchPath}`
  }

  #command(name: string, text: string, values: string[]): Buffer[] {
    return commandBytes(this.#mode, { name, text }, values)
  }
}

/** Binds and executes a statement, by its name where names are used. */
export function commandBytes(mode: WireMode, { name, text }: PreparedStatement, values: string[]): Buffer[] {
  const parse = mode.named ? [] : [serialize.parse({ name: '', text })]
  const bind = serialize.bind({ statement: mode.named ? name : '', values })
  return [...parse, bind, serialize.execute()].map((part) => Buffer.from(part))
}
