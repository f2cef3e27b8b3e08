import type { Client } from 'pg'
import { DATABASE_PLACEHOLDER, readSchemaStatements, type SchemaStatement, type Stage } from './schema-statements.ts'

/** A statement PostgreSQL did not accept, and its last word. */
export interface Uncloned {
  readonly object: string
  readonly reason: string
}

/** More rounds than any chain of dependencies seen; each round must make something, or it is the last. */
const MAX_ROUNDS = 50

/**
 * Runs the statements of one stage, again and again while some of the failed ones succeed: whatever depends on what,
 * the order finds itself. Returns those that never did.
 */
export async function applyStage(
  client: Client,
  statements: readonly SchemaStatement[],
  stage: Stage,
): Promise<SchemaStatement[]> {
  let open = statements.filter((statement) => statement.stage === stage)
  for (let round = 0; open.length > 0 && round < MAX_ROUNDS; round += 1) {
    const failed = await attempt(client, open)
    if (failed.length === open.length) return failed
    open = failed
  }
  return open
}

async function attempt(client: Client, statements: readonly SchemaStatement[]): Promise<SchemaStatement[]> {
  const failed: SchemaStatement[] = []
  const name = `"${(client.database ?? '').replaceAll('"', '""')}"`
  await client.query('begin; set local search_path = pg_catalog; set local check_function_bodies = off')
  for (const statement of statements) {
    const sql = statement.sql.replaceAll(`"${DATABASE_PLACEHOLDER}"`, name)
    try {
      await client.query(`savepoint one; ${sql}; release savepoint one`)
    } catch {
      await client.query('rollback to savepoint one')
      failed.push(statement)
    }
  }
  await client.query('commit')
  return failed
}

/** Says what of `wanted` the connected database does not have, word for word: a clone that differs proves nothing. */
export async function findUncloned(client: Client, wanted: readonly SchemaStatement[]): Promise<Uncloned[]> {
  const there = new Map((await readSchemaStatements(client)).map(({ object, sql }) => [object, sql]))
  return wanted.flatMap(({ object, sql }) => {
    const found = there.get(object)
    if (found !== undefined && withoutInvented(found) === withoutInvented(sql)) return []
    return {
      object,
      reason:
        found === undefined
          ? 'PostgreSQL refused to make it in the scratch database'
          : 'it came out different in the scratch database',
    }
  })
}

/** A literal without a name in SELECT gets one when its view or function is written down and read again. */
function withoutInvented(sql: string): string {
  return sql.replace(/(::[a-z ]+?) AS "?[a-z]+"?(?=,|\s|$)/g, '$1')
}
