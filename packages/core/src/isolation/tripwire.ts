import type { Submittable } from 'pg'
import type { TenantContext } from '../context/tenant-context.ts'
import { IsolationError } from '../errors.ts'
import type {
  DataRowMessage,
  FieldDescription,
  ForeignQuery,
  RowDescriptionMessage,
  WireConnection,
} from '../postgres/pg-internals.ts'

/** What happens when a row comes back that may not: the statement fails, the alarm alone is raised, or nothing. */
export type TripwireMode = 'enforce' | 'report' | 'off'

/** `foreign-row`: its `tenant_id` names another tenant. `honey`: it carries the token of a decoy tenant. */
export type AlarmKind = 'foreign-row' | 'honey'

/** A row came back that the walls should have held. For operators: it names the other tenant, an error never does. */
export interface IsolationAlarm {
  readonly kind: AlarmKind
  readonly at: Date
  /** Whose work it was. */
  readonly tenantId: string
  readonly slug: string
  readonly actor: string | undefined
  /** Whose row it was; undefined where the row does not say so, or said so in binary. */
  readonly foreignTenantId: string | undefined
  /** Text of the statement without its parameters, at most 1,000 characters. */
  readonly statement: string
  /** Process id of the connection in PostgreSQL, as in its log. */
  readonly backendPid: number | undefined
  /** True when the statement failed, false when the row was delivered (`report`). */
  readonly enforced: boolean
}

export interface TripwireConfig {
  readonly mode: TripwireMode
  /** Tokens of decoy tenants, as `createDecoy()` returns them. */
  readonly honeyTokens: readonly string[]
  /** Must not throw. */
  readonly raise: (alarm: IsolationAlarm) => void
}

/** The connection a watched statement runs on. */
export interface WatchedHost {
  readonly tripwire: Tripwire
  /** Process id of the connection in PostgreSQL. */
  backendPid(): number | undefined
  /** Closes the connection at once and for good. */
  cut(connection: WireConnection, reason: Error): void
}

/** What every honey token begins with, so that one search per value serves any number of tokens. */
const HONEY_PREFIX = 'hny_'
const HONEY_TOKEN = /^hny_[0-9A-Za-z]{20}$/

/** Statements are cut to this many characters in an alarm: enough to find them, little enough for a log line. */
const MAX_STATEMENT_LENGTH = 1_000

const UUID_OID = 2950

/** Types no token fits into: bool, int8, int2, int4, oid, float4, float8, date, time, timestamps, interval, numeric, uuid. */
const TOKENLESS_OIDS: ReadonlySet<number> = new Set([
  16,
  20,
  21,
  23,
  26,
  700,
  701,
  1082,
  1083,
  1114,
  1184,
  1186,
  1266,
  1700,
  UUID_OID,
])

/** Tells whether a text is a honey token as `createDecoy()` makes them. */
export function isHoneyToken(text: unknown): text is string {
  return typeof text === 'string' && HONEY_TOKEN.test(text)
}

/**
 * Compares result rows with the tenant of their statement, in the bytes PostgreSQL sent, before they are parsed.
 *
 * A last check behind the walls, for the day somebody replaces a policy: it sees the columns a result has, not the rows
 * PostgreSQL read. Columns are recognised by their name in the result, `tenant_id`, and their type, uuid.
 */
export class Tripwire {
  readonly #config: TripwireConfig
  readonly #honeyTokens: readonly string[] | undefined

  constructor(config: TripwireConfig) {
    this.#config = config
    this.#honeyTokens = config.honeyTokens.length > 0 ? config.honeyTokens : undefined
  }

  /** Returns what to look at in rows of this shape; undefined when there is nothing to look at. */
  watch(fields: readonly FieldDescription[], tenantId: string): RowWatch | undefined {
    if (this.#config.mode === 'off') return undefined
    let owners: Owner[] | undefined
    for (let index = 0; index < fields.length; index++) {
      const { dataTypeID, name, format } = fields[index] as FieldDescription
      if (dataTypeID !== UUID_OID || name !== 'tenant_id') continue
      owners ??= []
      owners.push({ index, own: format === 'binary' ? asBinary(tenantId) : tenantId, binary: format === 'binary' })
    }
    if (owners === undefined && this.#honeyTokens === undefined) return undefined
    return new RowWatch(owners ?? [], this.#honeyTokens, fields)
  }

  /** Raises the alarm. Returns the error the statement has to fail with, or undefined in mode `report`. */
  trip({ kind, foreignTenantId }: Finding, context: TenantContext, text: string, pid?: number): Error | undefined {
    const enforced = this.#config.mode === 'enforce'
    const { tenant, actor } = context
    this.#config.raise({
      kind,
      at: new Date(),
      tenantId: tenant.id,
      slug: tenant.slug,
      actor,
      foreignTenantId,
      statement: text.slice(0, MAX_STATEMENT_LENGTH),
      backendPid: pid,
      enforced,
    })
    if (!enforced) return undefined
    const found = kind === 'honey' ? 'one of them is a honey row of a decoy tenant' : 'one belongs to another tenant'
    return new IsolationError(
      'ERR_ISOLATION_TRIPWIRE',
      `Cannot return the rows: ${found}; the connection was closed and an alarm raised; look for the hole with "rowhouse doctor"`,
      { tenantId: tenant.id },
    )
  }
}

/** What neighbours in flight on the connection get to see: true, and nothing about whose statement it was. */
export function connectionCut(): Error {
  return new Error('Connection terminated by the tripwire: it returned a row it may not return')
}

/** A column that says whose a row is, and how it says that a row is the tenant's own. */
interface Owner {
  readonly index: number
  readonly own: string
  readonly binary: boolean
}

export interface Finding {
  readonly kind: AlarmKind
  readonly foreignTenantId: string | undefined
}

/** The check of one statement's rows. */
export class RowWatch {
  readonly #owners: readonly Owner[]
  readonly #honeyTokens: readonly string[] | undefined
  readonly #texts: readonly number[]

  constructor(
    owners: readonly Owner[],
    honeyTokens: readonly string[] | undefined,
    fields: readonly FieldDescription[],
  ) {
    this.#owners = owners
    this.#honeyTokens = honeyTokens
    this.#texts = honeyTokens === undefined ? [] : textColumns(fields)
  }

  /** Returns what is wrong with a row as it came over the wire. A null owner is a row an outer join did not find. */
  find(values: readonly (string | null)[]): Finding | undefined {
    if (this.#honeyTokens !== undefined && this.#isHoney(values, this.#honeyTokens)) {
      return { kind: 'honey', foreignTenantId: this.#foreignOwner(values)?.id }
    }
    const foreign = this.#foreignOwner(values)
    return foreign === undefined ? undefined : { kind: 'foreign-row', foreignTenantId: foreign.id }
  }

  #foreignOwner(values: readonly (string | null)[]): { readonly id: string | undefined } | undefined {
    // By index: this runs for every row of every result, and an iterator doubles what it costs.
    for (let i = 0; i < this.#owners.length; i++) {
      const owner = this.#owners[i] as Owner
      const value = values[owner.index]
      if (value !== owner.own && typeof value === 'string') return { id: owner.binary ? undefined : value }
    }
    return undefined
  }

  #isHoney(values: readonly (string | null)[], tokens: readonly string[]): boolean {
    for (const index of this.#texts) {
      const value = values[index]
      if (typeof value !== 'string' || !value.includes(HONEY_PREFIX)) continue
      if (tokens.some((token) => value.includes(token))) return true
    }
    return false
  }
}

function textColumns(fields: readonly FieldDescription[]): number[] {
  return [...fields.keys()].filter((index) => !TOKENLESS_OIDS.has(fields[index]?.dataTypeID ?? 0))
}

/** `pg` reads every value as UTF-8, binary ones too: bytes that are none become U+FFFD, on both sides alike. */
function asBinary(tenantId: string): string {
  return Buffer.from(tenantId.replaceAll('-', ''), 'hex').toString('utf8')
}

/** Watches the rows of a driver's own query object (`pg-cursor`, `pg-query-stream`, `pg.Query`) from inside. */
export function watchForeign<T extends Submittable>(submittable: T, context: TenantContext, host: WatchedHost): T {
  const query = submittable as unknown as ForeignQuery
  if (typeof query.handleDataRow !== 'function' || typeof query.handleRowDescription !== 'function') return submittable
  const deliver = query.handleDataRow.bind(query)
  const describe = query.handleRowDescription.bind(query)
  let connection: WireConnection | undefined
  let watch: RowWatch | undefined
  const submit = query.submit.bind(query)
  query.submit = (wire) => {
    connection = wire
    return submit(wire)
  }
  query.handleRowDescription = (message: RowDescriptionMessage) => {
    watch = host.tripwire.watch(message.fields, context.tenant.id)
    describe(message)
  }
  query.handleDataRow = (message: DataRowMessage) => {
    const finding = watch?.find(message.fields)
    if (finding === undefined) return deliver(message)
    watch = undefined
    const error = host.tripwire.trip(finding, context, query.text ?? '', host.backendPid())
    if (error === undefined) return deliver(message)
    // Rows come after the query was sent, so the connection is known.
    host.cut(connection as WireConnection, connectionCut())
    query.handleError(error, connection as WireConnection)
    silence(query)
  }
  return submittable
}

/** The rest of the answer may have arrived with the offending row; none of it reaches the query any more. */
function silence(query: ForeignQuery): void {
  const ignore = () => {}
  query.handleDataRow = ignore
  query.handleRowDescription = ignore
  query.handlePortalSuspended = ignore
  query.handleCommandComplete = ignore
  query.handleReadyForQuery = ignore
  query.handleEmptyQuery = ignore
  query.handleError = ignore
}
