/**
 * A migration as the fleet runs it: one file, read, split and known by its content, before any server is asked.
 *
 * Words: *up part*, what takes a schema forward, the only part that is ever run · *phase*, `expand` adds and is safe
 * beside the old release, `contract` takes away what no running release uses · *reference*, a table all tenants read.
 */

import type { Node } from 'libpg-query'

export type Phase = 'expand' | 'contract' | 'any'

export interface Migration {
  /** Number and name, as the file is called without its ending: `0007-add-eta`. Unique in a folder, and what a ledger keeps. */
  readonly id: string
  /** The part of the id that orders: `0007`, `20260114093000`, `1.2`. */
  readonly number: string
  /** The part of the id that speaks: `add-eta`; empty where the file is called by its number alone. */
  readonly name: string
  /** Path of the file, for messages. */
  readonly file: string
  /** SHA-256 of the up part in hex, with line ends as `\n`: a checkout on another system changes nothing. */
  readonly sha256: string
  /** `-- rowhouse: phase expand` or `contract`; `any` where the file does not say. */
  readonly phase: Phase
  /** False when its statements run one by one, each in a transaction of its own or in none. */
  readonly transactional: boolean
  /** Never empty; in the order of the file. */
  readonly statements: readonly MigrationStatement[]
  /** Tables this file publishes to all tenants: `-- rowhouse: reference port`, `select rowhouse.publish_reference('port')`. */
  readonly references: readonly string[]
  /** Findings of the lint that somebody looked at and wants. */
  readonly allowances: readonly Allowance[]
}

export interface MigrationStatement {
  /** From its first to its last letter, without the semicolon and without comments before it. */
  readonly text: string
  /** Line in the file, from 1. */
  readonly line: number
  /** Where it starts in the text that was parsed, in UTF-8 bytes: positions in `tree` count from the same place. */
  readonly byteOffset: number
  /** Name of the node, e.g. `CreateStmt`, `AlterTableStmt`, `IndexStmt`. */
  readonly kind: string
  readonly tree: Node
  /** PostgreSQL refuses it inside a transaction: CONCURRENTLY, VACUUM, ALTER SYSTEM and their kin. */
  readonly needsNoTransaction: boolean
  /** The table it makes; undefined for other statements and for temporary tables. */
  readonly creates: CreatedTable | undefined
  /** Relations it names and does not make. */
  readonly touches: readonly string[]
  /** The index it builds with CONCURRENTLY: left behind invalid when it fails, and to be dropped before the next attempt. */
  readonly concurrentIndex: string | undefined
  /** Concerns reference tables only, which exist once per database: run it once there, not once per tenant schema. */
  readonly shared: boolean
}

export interface CreatedTable {
  readonly name: string
  /** Table it is a partition of, which is protected in its stead. */
  readonly partitionOf: string | undefined
}

/** `-- rowhouse: allow M02 nobody has written to it since release 12` */
export interface Allowance {
  readonly rule: string
  readonly reason: string
  readonly line: number
  /** Index of the one statement it is for; undefined for the whole file. */
  readonly statement: number | undefined
}

/** What the runner does about isolation after the statements of a migration ran, in the same transaction where there is one. */
export interface IsolationWork {
  /** For `rowhouse.protect`: tables made here, and tables whose columns or names changed. */
  readonly protect: readonly string[]
  /** For `rowhouse.publish_reference`. */
  readonly publish: readonly string[]
}

/**
 * Returns which tables a migration leaves in need of `rowhouse.protect` and `rowhouse.publish_reference`.
 *
 * A column that was added is granted to nobody until then. Tables the migration only altered are named even where they
 * are not protected yet or are references of an earlier file: ask the catalog which of the two they are.
 *
 * @example
 * ```ts
 * import { findIsolationWork, readMigrations } from 'rowhouse-server'
 * for (const migration of await readMigrations('migrations')) console.log(migration.id, findIsolationWork(migration).protect)
 * ```
 */
export function findIsolationWork(migration: Migration): IsolationWork {
  const tables = new Set<string>()
  for (const { tree, creates } of migration.statements) {
    if (creates !== undefined) tables.add(creates.partitionOf ?? creates.name)
    if ('AlterTableStmt' in tree && tree.AlterTableStmt.objtype === 'OBJECT_TABLE')
      add(tables, tree.AlterTableStmt.relation)
    if ('RenameStmt' in tree) renameIn(tables, tree.RenameStmt)
    if ('DropStmt' in tree && tree.DropStmt.removeType === 'OBJECT_TABLE') {
      for (const name of tree.DropStmt.objects?.map(lastName) ?? []) tables.delete(name)
    }
  }
  const published = new Set(migration.references)
  return { protect: [...tables].filter((name) => !published.has(name)), publish: [...published] }
}

function add(tables: Set<string>, relation: { relname?: string } | undefined): void {
  if (relation?.relname !== undefined) tables.add(relation.relname)
}

function renameIn(
  tables: Set<string>,
  rename: { renameType?: string; relationType?: string; relation?: { relname?: string }; newname?: string },
): void {
  const { renameType, relationType, relation, newname } = rename
  if (renameType === 'OBJECT_COLUMN' && relationType === 'OBJECT_TABLE') add(tables, relation)
  if (renameType !== 'OBJECT_TABLE' || relation?.relname === undefined || newname === undefined) return
  tables.delete(relation.relname)
  tables.add(newname)
}

function lastName(node: Node): string {
  if (!('List' in node)) return ''
  const last = node.List.items?.at(-1)
  return last !== undefined && 'String' in last ? (last.String.sval ?? '') : ''
}
