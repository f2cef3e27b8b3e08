/** Where attacks are run: a scratch database with two tenants whose ids collide, and the application in front of it. */

import type { Client, QueryResult } from 'pg'
import type { RequestFacts } from 'rowhouse'
import { quoted } from '../seed/quoted.ts'
import { inPartition, type Row, type RowPlan } from '../seed/row-plan.ts'
import type { SchemaFacts, TableFacts } from '../seed/schema-facts.ts'
import type { Homes } from './placing.ts'

export interface TenantRef {
  readonly id: string
  readonly slug: string
  /** Units the work is limited to. */
  readonly units?: readonly string[]
}

/** Runs statements as one tenant, as the application's code would. */
export interface TenantDb {
  query(text: string, values?: readonly unknown[]): Promise<QueryResult>
}

/**
 * What stands between the application's code and the database: Rowhouse, or what it is compared with.
 *
 * An attack knows nothing else of it, so that the same attacks run against any of them.
 */
export interface Library {
  readonly name: string
  /** One statement, in whatever way the library runs a single one. */
  asTenant(tenant: TenantRef, text: string, values?: readonly unknown[]): Promise<QueryResult>
  /** Several statements in one transaction, which is rolled back at the end: attacks leave nothing behind. */
  attempt<T>(tenant: TenantRef, fn: (db: TenantDb) => Promise<T>): Promise<T>
  /** A statement of code that forgot to say for whom, on the connections the others use. */
  withoutTenant(text: string): Promise<QueryResult>
  /** Statements that set the tenant on a connection of its own, as the library would: a valid context, legally obtained. */
  contextOf(tenant: TenantRef): Promise<readonly { readonly text: string; readonly values: readonly unknown[] }[]>
  /** Tells whose request it is, as the web server in front would; throws where it may not come in. */
  resolve?(request: RequestFacts): Promise<string>
  /** Another library than Rowhouse says here what a statement on Rowhouse's own setting and tables is for it. */
  translate?(sql: string): string
  /** Another library than Rowhouse makes its victim's context here, as somebody would who was only given an own one. */
  forge?(own: string, victim: TenantRef): string
  close(): Promise<void>
}

/** A login or key of each tenant, for what needs one. */
export interface Credentials {
  readonly attackerKey: string
  readonly victimKey: string
}

export interface Arena {
  readonly library: Library
  /** Looks behind the walls and prepares what an attack needs. */
  readonly admin: Client
  /** Login of the application, on this database. */
  readonly appUrl: string
  readonly facts: SchemaFacts
  readonly plan: RowPlan
  /** Why some tables hold no rows, by name. */
  readonly empty: ReadonlyMap<string, string>
  readonly attacker: TenantRef
  readonly victim: TenantRef
  readonly credentials: Credentials
  /** Schemas of those who have one of their own. */
  readonly homes: Homes
  /** As this one, without the victim's rows: what the attacker must see here, too. */
  readonly alone: Library
  /** Opens a connection of the application without the library, for as long as `fn` runs. @param options  as in the startup packet, e.g. `-c a.b=c` */
  raw<T>(fn: (client: Client) => Promise<T>, options?: string): Promise<T>
}

/** Returns a statement on what Rowhouse calls its own, in the words of the library that is attacked. */
export function spoken({ library }: Arena, sql: string): string {
  return library.translate?.(sql) ?? sql
}

/** Returns the attacker's own context, as the library made it. */
export async function ownContextOf({ library, attacker }: Arena): Promise<string> {
  return String((await library.contextOf(attacker))[0]?.values[0])
}

/** Returns the row of a table, or throws: attacks on tables without rows are not run. */
export function rowOf(arena: Arena, table: TableFacts, tenant: TenantRef, number: number): Row {
  const row = arena.plan.row(table, tenant.id, number)
  if ('reason' in row) throw new Error(`Cannot make a row of ${table.name}: ${row.reason as string}`)
  return inPartition(arena.facts, table, row as Row)
}

/** Name of the tenant's column as SQL wants it; only tables that have one are attacked. */
export function tenantColumnOf(table: TableFacts): string {
  return quoted(table.tenantColumn ?? '')
}
