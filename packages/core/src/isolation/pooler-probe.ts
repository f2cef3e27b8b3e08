import { randomBytes } from 'node:crypto'
import { type QueryCallback, type WireConnection, WireQuery } from '../postgres/pg-internals.ts'

/** `probe` finds out with each connection; true and false say it beforehand. */
export type StatementNaming = boolean | 'probe'

/** How statements travel on one connection. */
export interface WireMode {
  /** Statements are prepared under names that belong to this connection alone. */
  readonly named: boolean
  /** The session may be anybody's between two transactions, so each context sets what a startup option would have set. */
  readonly pinned: boolean
}

/** A session of our own: nobody stands between, or somebody who keeps to one session per connection. */
export const DIRECT: WireMode = { named: true, pinned: false }
/** A pooler of servers that tells the names of its clients apart (PgBouncer from 1.21 with max_prepared_statements). */
export const POOLED: WireMode = { named: true, pinned: true }
/** A pooler of servers in which a name may mean somebody else's statement, or nothing. */
export const POOLED_UNNAMED: WireMode = { named: false, pinned: true }

/** What the first answer on a connection says about what is between us and PostgreSQL. */
export interface BootFacts {
  /** The process the connection was told at its start to belong to, for cancel requests. */
  readonly announcedPid: number | null
  /** The process that answered. */
  readonly pid: number
  /** What the answering session holds of the mark sent with the startup packet. */
  readonly mark: string | null
}

/** A setting nobody else can know is sent when the connection starts; its session, and no other, has it. */
const MARK_SETTING = 'rowhouse.connection'

export const BOOT_COLUMNS = `pg_catalog.pg_backend_pid() as pid, pg_catalog.current_setting('${MARK_SETTING}', true) as mark`

/** Linux numbers processes up to 2^22; a pooler draws its keys from 2^31. Being wrong costs one round trip. */
const HIGHEST_USUAL_PID = 2 ** 22

const PROTOCOL_VIOLATION = '08P01'
const DUPLICATE_STATEMENT = '42P05'
const UNKNOWN_STATEMENT = '26000'

/**
 * What the connections to one database have taught each other: only how to begin, never how to go on. What a connection
 * may do is decided by what that connection itself showed.
 */
export class PoolerMemory {
  #refusesOptions = false
  #mayShareNames = false
  #namesWerePooled = false
  #losesNames = false
  readonly #lessons = new WeakSet<object>()

  get sendsOptions(): boolean {
    return !this.#refusesOptions
  }

  get namesAtBoot(): boolean {
    return !this.#mayShareNames
  }

  /** True once a pooler that keeps names lost one: with more statements than it has room for, PgBouncer miscounts after errors. */
  get losesNames(): boolean {
    return this.#losesNames
  }

  /** Says that names are kept by somebody between. */
  trustNames(): void {
    this.#namesWerePooled = true
  }

  /** Takes note of a statement's error. Returns true when it failed for its name alone, and will not again. */
  lostName(error: unknown): boolean {
    const code = (error as { code?: unknown } | undefined)?.code
    if (!this.#namesWerePooled || (code !== DUPLICATE_STATEMENT && code !== UNKNOWN_STATEMENT)) return false
    this.#losesNames = true
    return true
  }

  /** Takes note of why a connection could not be made. Marks the error when trying again makes sense. */
  learn(error: unknown): void {
    const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
    if (code === PROTOCOL_VIOLATION && /startup parameter/.test(String(message)) && !this.#refusesOptions) {
      this.#refusesOptions = true
      this.#lessons.add(error as object)
    }
    if (code === DUPLICATE_STATEMENT && !this.#mayShareNames) {
      this.#mayShareNames = true
      this.#lessons.add(error as object)
    }
  }

  /** Takes note of an answer: where a pooler was replaced by PostgreSQL itself, options are worth sending again. */
  observe(facts: BootFacts): void {
    const looksDirect = facts.announcedPid === facts.pid
    this.#mayShareNames = !looksDirect
    if (looksDirect) this.#refusesOptions = false
  }

  /** Runs `connect` again for as long as each failure taught how to begin better: at most twice. */
  async connect<T>(connect: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await connect()
      } catch (error) {
        if (typeof error !== 'object' || error === null || !this.#lessons.delete(error)) throw error
      }
    }
  }
}

/** Makes the startup option that marks a session, and the mark. */
export function newMark(): { readonly mark: string; readonly option: string } {
  const mark = randomBytes(16).toString('hex')
  return { mark, option: `-c ${MARK_SETTING}=${mark}` }
}

/** Tells whether a connection is likely to be direct, before anything was asked on it. */
export function looksDirect(announcedPid: number | null): boolean {
  return announcedPid !== null && announcedPid > 0 && announcedPid <= HIGHEST_USUAL_PID
}

/**
 * Tells whether the session that answered was started by our own startup packet, in the process that packet was answered
 * by. A pooler that shares sessions fails both: it makes up its keys, and its sessions were started by itself.
 */
export function isDirect(facts: BootFacts, mark: string | undefined): boolean {
  return mark !== undefined && facts.mark === mark && facts.announcedPid === facts.pid
}

/**
 * A statement with a name, which looks itself up among the session's prepared statements: under its own name, names
 * reach the shared session; under another one, somebody between keeps a list of names per client.
 *
 * No number of clients watched for any time could tell as much: sessions that happen not to be swapped while one looks
 * are swapped under load.
 */
export class NamingQuery extends WireQuery {
  constructor(callback: (error: Error | undefined, renamed: boolean) => void) {
    const id = `rowhouse_naming_${randomBytes(12).toString('hex')}`
    // Qualified throughout: the search path of a shared session may be anybody's.
    const text = `select /* ${id} */ pg_catalog.count(*) operator(pg_catalog.=) 1
      and pg_catalog.bool_and(name operator(pg_catalog.<>) '${id}') as renamed
      from pg_catalog.pg_prepared_statements where pg_catalog.strpos(statement, '${id}') operator(pg_catalog.>) 0`
    const done: QueryCallback = (error, result) => {
      callback(error ?? undefined, (result?.rows[0] as { renamed: boolean } | undefined)?.renamed === true)
    }
    super({ text, name: id, queryMode: 'extended' }, [], done)
  }

  /** The name goes with the same flush, so that nobody finds it. */
  override _getRows(connection: WireConnection): void {
    connection.execute({ portal: '' })
    connection.close({ type: 'S', name: this.name ?? '' })
    connection.sync()
  }
}

/** Prepares statements and says when they are. */
export class PrepareQuery extends WireQuery {
  readonly #statements: readonly { readonly name: string; readonly text: string }[]

  constructor(statements: readonly { readonly name: string; readonly text: string }[], callback: QueryCallback) {
    super({ text: 'select 1', queryMode: 'extended' }, [], callback)
    this.#statements = statements
  }

  override prepare(connection: WireConnection): void {
    for (const statement of this.#statements) connection.parse(statement)
    super.prepare(connection)
  }
}
