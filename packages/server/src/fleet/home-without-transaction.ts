import { explainFailure, isLockConflict } from './home-failure.ts'
import {
  expectedNames,
  ledgerLines,
  literal,
  opening,
  publish,
  searchPath,
  type Target,
  type TransactionLimits,
  withValidation,
} from './home-transaction.ts'
import type { Runner } from './homes.ts'
import { findIsolationWork, type Migration, type MigrationStatement } from './migration.ts'

export interface AloneLimits extends TransactionLimits {
  readonly concurrentTimeoutMs: number
}

/**
 * Runs a migration that no transaction may hold, statement by statement, each once.
 *
 * A statement that can be in a transaction is in one together with the note that it ran. For the others the note before
 * and the note after frame it: found begun and not ended, the process was killed in between, and what the statement left
 * says whether it had come to its end.
 */
export async function runAlone(
  client: Runner,
  migration: Migration,
  target: Target,
  limits: AloneLimits,
): Promise<void> {
  const run = new AloneRun(client, migration, target, limits)
  const progress = await run.read()
  const own = expectedNames(migration)
  if (target.home !== '' && own.length > 0 && progress.size === 0) await run.assertOwn(own)
  for (const [index, statement] of migration.statements.entries()) {
    if (progress.get(index) === 'finished') continue
    if (statement.shared && target.published.has(migration.id)) continue
    const piece = { sql: statement.text, migration, statement }
    try {
      if (statement.needsNoTransaction) await run.outside(index, statement, progress.get(index) === 'started')
      else await run.inside(index, statement)
    } catch (error) {
      await client.query('rollback').catch(() => {})
      throw isLockConflict(error) ? error : explainFailure(error, target.home, piece)
    }
  }
  await run.finish()
}

type Progress = 'started' | 'finished'

class AloneRun {
  readonly #client: Runner
  readonly #migration: Migration
  readonly #target: Target
  readonly #limits: AloneLimits

  constructor(client: Runner, migration: Migration, target: Target, limits: AloneLimits) {
    this.#client = client
    this.#migration = migration
    this.#target = target
    this.#limits = limits
  }

  /** Notes of another version of the file say nothing about this one. */
  async read(): Promise<Map<number, Progress>> {
    const { home } = this.#target
    const { id, sha256 } = this.#migration
    const key = `home = ${literal(home)} and id = ${literal(id)}`
    await this.#transact(`delete from rowhouse.migration_progress where ${key} and sha256 <> '${sha256}'`)
    const { rows } = await this.#asOwner<{ statement: number; ended: boolean }>(
      `select statement, finished_at is not null as ended from rowhouse.migration_progress where ${key}`,
    )
    return new Map(rows.map(({ statement, ended }) => [statement, ended ? 'finished' : 'started']))
  }

  async assertOwn(names: readonly string[]): Promise<void> {
    await this.#asOwner(
      `select rowhouse.assert_own('${this.#target.home}', array[${names.map(literal).join(', ')}]::text[])`,
    )
  }

  inside(index: number, statement: MigrationStatement): Promise<void> {
    const { shared } = statement
    const text = withValidation(statement, statement.text, this.#target).join('\n;\n')
    const path = shared ? `set local search_path = ${searchPath('')};` : ''
    return this.#transact(`${path} ${text}\n; ${this.#note(index, 'now()')}`)
  }

  async outside(index: number, statement: MigrationStatement, begunBefore: boolean): Promise<void> {
    if (begunBefore && (await this.#cameToItsEnd(statement))) {
      await this.#transact(this.#note(index, 'now()'))
      return
    }
    await this.#transact(this.#note(index, 'null'))
    await this.#runBare(statement.text, statement.shared)
    await this.#transact(this.#note(index, 'now()'))
  }

  /** Looks at what a killed statement left, and clears away what is in its way. */
  async #cameToItsEnd({ concurrentIndex, kind, shared }: MigrationStatement): Promise<boolean> {
    const namespace = shared || this.#target.home === '' ? 'public' : this.#target.home
    const find = (condition: string) =>
      this.#asOwner<{ name: string; valid: boolean }>(
        `select quote_ident(c.relname) as name, i.indisvalid as valid from pg_index i join pg_class c on c.oid = i.indexrelid
        where c.relnamespace = '${namespace}'::regnamespace and ${condition}`,
      )
    // REINDEX CONCURRENTLY builds beside the old index, under its name with this ending.
    const leftovers =
      kind === 'ReindexStmt' ? (await find(`not i.indisvalid and c.relname ~ '_cc(new|old)[0-9]*$'`)).rows : []
    const built =
      concurrentIndex === undefined ? undefined : (await find(`c.relname = ${literal(concurrentIndex)}`)).rows[0]
    for (const { name } of built?.valid === false ? [built, ...leftovers] : leftovers) {
      await this.#runBare(`drop index concurrently if exists ${namespace}.${name}`, shared)
    }
    return built?.valid === true
  }

  async finish(): Promise<void> {
    const { home, published } = this.#target
    const { id, references } = this.#migration
    const { protect } = findIsolationWork(this.#migration)
    const tables = `array[${protect.map(literal).join(', ')}]::text[]`
    const steps = [
      `select rowhouse.protect_home('${home || 'public'}', ${tables})`,
      ...(published.has(id) ? [] : references.map(publish)),
      ledgerLines([this.#migration], this.#target),
      `delete from rowhouse.migration_progress where home = ${literal(home)} and id = ${literal(id)}`,
    ]
    await this.#transact(steps.join(';\n'))
  }

  #note(index: number, finishedAt: 'now()' | 'null'): string {
    const { id, sha256 } = this.#migration
    return `insert into rowhouse.migration_progress (home, id, statement, sha256, finished_at)
      values (${literal(this.#target.home)}, ${literal(id)}, ${index}, '${sha256}', ${finishedAt})
      on conflict (home, id, statement) do update set finished_at = excluded.finished_at`
  }

  async #transact(sql: string): Promise<void> {
    await this.#client.query(`${opening(this.#target, this.#limits)};\n${sql};\ncommit`)
  }

  async #asOwner<Row extends object>(sql: string): Promise<{ rows: Row[] }> {
    const results = (await this.#client.query(
      `${opening(this.#target, this.#limits)};\n${sql};\ncommit`,
    )) as unknown as { rows: Row[] }[]
    return { rows: results.at(-2)?.rows ?? [] }
  }

  /**
   * CONCURRENTLY waits for transactions of the whole database but lets everybody pass, so its locks may take their time.
   * Settings are the session's here and are taken back whatever happens.
   */
  async #runBare(sql: string, shared: boolean): Promise<void> {
    const path = searchPath(shared ? '' : this.#target.home)
    const { concurrentTimeoutMs } = this.#limits
    try {
      await this.#client.query(
        `set role rowhouse_owner; set search_path = ${path}; set lock_timeout = ${concurrentTimeoutMs}; set statement_timeout = ${concurrentTimeoutMs}`,
      )
      await this.#client.query(sql)
    } finally {
      await this.#client
        .query('reset role; reset search_path; reset lock_timeout; reset statement_timeout')
        .catch(() => {})
    }
  }
}
