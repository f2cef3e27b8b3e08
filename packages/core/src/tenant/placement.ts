/**
 * How much a tenant shares with others:
 *
 * - `pooled`: tables, told apart by `tenant_id`.
 * - `schema`: a database; its tables are in a schema of its own.
 * - `database`: a server; its database is its own.
 */
export type Model = 'pooled' | 'schema' | 'database'

/** Where a tenant lives. A claim of the registry: the database checks it with every statement. */
export interface Placement {
  /** Name in the registry of servers; `main` is the server of the central database. */
  readonly server: string
  readonly model: Model
  /** The tenant's own database; undefined for the shared one of the server. */
  readonly database: string | undefined
  /** The tenant's own schema; undefined for the application's. */
  readonly schema: string | undefined
}

/** The registry's columns of a placement. */
export interface PlacementRow {
  readonly server: string
  readonly model: Model
  readonly database_name: string | null
  readonly schema_name: string | null
}

/** Where tenants live that were placed nowhere else. */
export const MAIN_POOLED: Placement = Object.freeze({
  server: 'main',
  model: 'pooled',
  database: undefined,
  schema: undefined,
})

/** Reads a placement from a row of the registry. */
export function toPlacement({ server, model, database_name, schema_name }: PlacementRow): Placement {
  return Object.freeze({ server, model, database: database_name ?? undefined, schema: schema_name ?? undefined })
}
