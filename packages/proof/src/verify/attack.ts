import { isRowhouseError } from 'rowhouse'
import { isConnectionLost } from '../operator/operator-error.ts'
import type { SchemaFacts, TableFacts } from '../seed/schema-facts.ts'
import type { Arena } from './arena.ts'
import type { Pair, Place } from './placing.ts'
import type { WeaknessId } from './weaknesses.ts'

export const FAMILIES = ['RLS', 'CTX', 'ROL', 'ORA', 'SHR', 'WEB', 'APP', 'PLC'] as const
export type Family = (typeof FAMILIES)[number]

/** One thing an attack is tried on: a table and a verb, a foreign key, a view, or the database as a whole. */
export interface Cell {
  /** The object, e.g. `public.shipment` or `database`. */
  readonly target: string
  /** What is done to it, e.g. `select`. */
  readonly verb: string
  readonly table?: TableFacts
  /** Name of the key, view or function where it is not the target. */
  readonly detail?: string
  /** Why the attack cannot be run here. */
  readonly notApplicable?: string
}

/** What came of one attempt. `how` says it in a few words: the error that refused it, or what was seen. */
export interface Attempt {
  readonly leaked: boolean
  readonly how: string
  /** Nothing of the victim was seen; what is missing is the error. */
  readonly silent?: true
  /** It ended before anything was refused or leaked: it counts for nothing. */
  readonly broken?: true
}

/**
 * An attack of the catalogue, as code that runs it.
 *
 * `weakness` names the database in which the same code must succeed; where it does not, its zeros count for nothing.
 */
export interface Attack {
  /** Id in the catalogue, e.g. `RLS-09`. Several attacks may share one: they are shapes of the same idea. */
  readonly id: `${Family}-${string}`
  readonly title: string
  /** `whole` has every key and trigger; `bare` has no foreign keys and triggers, which would stop a write by accident. */
  readonly arena: 'whole' | 'bare'
  readonly weakness: WeaknessId
  /** @defaultValue 'victim' */
  readonly place?: Place
  /** Where the attack makes no sense, and why. @defaultValue everywhere it does */
  readonly notFor?: (pair: Pair) => string | undefined
  cells(facts: SchemaFacts): readonly Cell[]
  attempt(arena: Arena, cell: Cell): Promise<Attempt>
}

/** An attack on something PostgreSQL cannot close: run, measured and written in SECURITY.md instead of refused. */
export interface Residual {
  readonly id: string
  readonly title: string
  readonly what: string
  readonly instead: string
}

/** A surface that Rowhouse does not have yet: its attacks come with it. */
export interface LaterSurface {
  readonly ids: readonly string[]
  readonly surface: string
}

export function refused(how: string): Attempt {
  return { leaked: false, how }
}

export function leaked(how: string): Attempt {
  return { leaked: true, how }
}

export function broken(how: string): Attempt {
  return { leaked: false, how: `the attack broke: ${how}`, broken: true }
}

/** Judges a number of rows by how many of them are the victim's. */
export function judgeForeign(foreign: unknown): Attempt {
  return Number(foreign) > 0 ? leaked(`${Number(foreign)} rows of the victim`) : refused('own rows only')
}

/** Cells of all tables that belong to tenants. */
export function tenantTables(facts: SchemaFacts, verb: string): Cell[] {
  return facts.tables
    .filter(({ tenantColumn }) => tenantColumn !== undefined)
    .map((table) => ({ target: table.name, verb, table }))
}

export const onDatabase = (verb: string): Cell[] => [{ target: 'database', verb }]

/**
 * Runs what should be refused: an error is a refusal, and `judge` says what a success means.
 *
 * @throws what `assertRefusal` throws
 */
export async function expectRefusal<T>(act: () => Promise<T>, judge: (result: T) => Attempt): Promise<Attempt> {
  try {
    return judge(await act())
  } catch (error) {
    assertRefusal(error)
    return refused(describe(error))
  }
}

const CANCELLED = '57014'

/**
 * Throws an error that refused nothing: the database went away, had no room or no time. Every other one is a refusal,
 * also one without a code, which is how other libraries than Rowhouse refuse.
 */
export function assertRefusal(error: unknown): void {
  const again = isRowhouseError(error) && error.retryable
  if (again || isConnectionLost(error) || sqlstateOf(error) === CANCELLED) throw error
}

/** SQLSTATE or code of an error, and the first words of what it says. */
export function describe(error: unknown): string {
  const { code, message, cause } = error as Error & { code?: string; cause?: { code?: string } }
  return `${cause?.code ?? code ?? 'error'}: ${message.split('\n')[0]?.slice(0, 120)}`
}

/** SQLSTATE of a database error, however it is wrapped. */
export function sqlstateOf(error: unknown): string | undefined {
  const { code, cause } = error as { code?: string; cause?: { code?: string } }
  return cause?.code ?? code
}
