import type { Client } from 'pg'
import { DATABASE_PLACEHOLDER, readSchemaStatements, type SchemaStatement, type Stage } from './schema-statements.ts'

/** A statement PostgreSQL did not accept, and its last word. */
export interface Uncloned {
  readonly object: string
  readonly reason: string
}

/** A statement that was tried, with what PostgreSQL said to it. */
export interface Refused extends SchemaStatement {
  readonly refusal?: string
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
): Promise<Refused[]> {
  let open: Refused[] = statements.filter((statement) => statement.stage === stage && statement.leftOut === undefined)
  for (let round = 0; open.length > 0 && round < MAX_ROUNDS; round += 1) {
    const failed = await attempt(client, open)
    if (failed.length === open.length) return failed
    open = failed
  }
  return open
}

async function attempt(client: Client, statements: readonly SchemaStatement[]): Promise<Refused[]> {
  const failed: Refused[] = []
  const name = `"${(client.database ?? '').replaceAll('"', '""')}"`
  await client.query('begin; set local search_path = pg_catalog; set local check_function_bodies = off')
  for (const statement of statements) {
    const sql = statement.sql.replaceAll(`"${DATABASE_PLACEHOLDER}"`, name)
    try {
      await client.query(`savepoint one; ${sql}; release savepoint one`)
    } catch (error) {
      await client.query('rollback to savepoint one')
      failed.push({ ...statement, refusal: (error as Error).message })
    }
  }
  await client.query('commit')
  return failed
}

/**
 * Says what of `wanted` the connected database does not have, word for word, and what it has besides: a clone that
 * differs proves nothing.
 *
 * @param refused  what `applyStage` returned last: PostgreSQL's reasons
 */
export async function findUncloned(
  client: Client,
  wanted: readonly SchemaStatement[],
  refused: readonly Refused[] = [],
): Promise<Uncloned[]> {
  const there = new Map((await readSchemaStatements(client)).map(({ object, sql }) => [object, sql]))
  const refusals = new Map(refused.map(({ object, refusal }) => [object, refusal]))
  const known = new Set(wanted.map(({ object }) => object))
  const missing = wanted.flatMap(({ object, sql, leftOut }) => {
    if (leftOut !== undefined) return [{ object, reason: leftOut }]
    const found = there.get(object)
    if (found !== undefined && withoutInvented(found) === withoutInvented(sql)) return []
    const refusal = refusals.get(object)
    return {
      object,
      reason:
        found === undefined
          ? `PostgreSQL refused to make it in the scratch database${refusal === undefined ? '' : `: ${refusal}`}`
          : 'it came out different in the scratch database',
    }
  })
  const added = [...there.keys()]
    .filter((object) => !known.has(object))
    .map((object) => ({ object, reason: 'it is in the scratch database only' }))
  return [...missing, ...added]
}

/** A literal without a name in SELECT gets one when its view or function is written down and read again. */
function withoutInvented(sql: string): string {
  return sql.replace(/(::[a-z ]+?) AS "?[a-z]+"?(?=,|\s|$)/g, '$1')
}
