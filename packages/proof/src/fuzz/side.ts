import type { PoolClient, QueryResult } from 'pg'
import { createRowhouse, type Rowhouse } from 'rowhouse'
import { OWN_UNITS, TENANTS } from './fixture.ts'
import type { Outcome, StepOutcome } from './outcome.ts'
import type { Scratch, Side } from './scratch.ts'
import { type Case, textsOf } from './statement.ts'

/** One database of a run and the application on it: the real library, with the login an application has. */
export interface FuzzedSide {
  /** Runs a case; its writes are rolled back unless `commit` is set. Never throws for what PostgreSQL answers. */
  run(testCase: Case, commit?: boolean): Promise<Outcome>
  close(): Promise<void>
}

/** A generated statement that runs longer than this says nothing: it is counted and left out. */
const STATEMENT_TIMEOUT_MS = 5_000

/** Opens one lane and one pooled connection: whoever comes next on them meets the plans of whoever was there before. */
export async function openSide(scratch: Scratch, side: Side): Promise<FuzzedSide> {
  const rowhouse = await createRowhouse({
    url: scratch.appUrl(side),
    rootKey: scratch.rootKey,
    lanes: 1,
    poolSize: 1,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    waitTimeoutMs: 120_000,
    directoryTtlMs: 3_600_000,
    applicationName: 'rowhouse-fuzz',
  })
  return {
    run: (testCase, commit = false) => RUN[testCase.form](rowhouse, testCase, commit),
    close: () => rowhouse.close(),
  }
}

type RunCase = (rowhouse: Rowhouse, testCase: Case, commit: boolean) => Promise<Outcome>

const RUN: Readonly<Record<Case['form'], RunCase>> = {
  single: runSingle,
  block: (rowhouse, testCase, commit) => runBlock(rowhouse, testCase, 0, [], commit),
  rotation: runRotation,
  generic: runGeneric,
  copy: runCopy,
}

/** First once unnamed, then prepared by another tenant, whose plan the others meet. */
const ROTATION = [0, 1, 1, 2, 0, 1, 0, 0]

/** Values as PostgreSQL writes them: parsing would be slower and would hide differences. */
const AS_TEXT = { getTypeParser: () => (value: string) => value }

function toQuery(text: string, values: readonly unknown[]) {
  return { text, values: values as unknown[], rowMode: 'array' as const, types: AS_TEXT }
}

function scopeOf(tenant: number, units: boolean) {
  const id = TENANTS[tenant]?.id ?? ''
  return units ? { tenant: id, units: OWN_UNITS } : { tenant: id }
}

async function runSingle(rowhouse: Rowhouse, testCase: Case): Promise<Outcome> {
  return [await runOnLane(rowhouse, testCase, 0)]
}

async function runRotation(rowhouse: Rowhouse, testCase: Case): Promise<Outcome> {
  const outcomes: StepOutcome[] = []
  for (const tenant of ROTATION) outcomes.push(await runOnLane(rowhouse, testCase, tenant))
  return outcomes
}

function runOnLane(rowhouse: Rowhouse, testCase: Case, tenant: number): Promise<StepOutcome> {
  const [text = ''] = textsOf(testCase)
  return rowhouse.withTenant(scopeOf(tenant, testCase.units), () =>
    observe(tenant, [], () => rowhouse.pool.query(toQuery(text, testCase.values))),
  )
}

async function runGeneric(rowhouse: Rowhouse, testCase: Case): Promise<Outcome> {
  const outcomes: StepOutcome[] = []
  for (const tenant of ROTATION)
    outcomes.push(
      ...(await runBlock(rowhouse, testCase, tenant, ['set local plan_cache_mode = force_generic_plan'], false)),
    )
  return outcomes
}

async function runBlock(
  rowhouse: Rowhouse,
  testCase: Case,
  tenant: number,
  before: readonly string[],
  commit: boolean,
): Promise<Outcome> {
  return rowhouse.withTenant(scopeOf(tenant, testCase.units), async () => {
    const client = await rowhouse.pool.connect()
    let broken = false
    try {
      await client.query('begin')
      for (const text of before) await client.query(text)
      const outcomes = await runSteps(client, testCase, tenant)
      if (commit) outcomes.push(await observe(tenant, [], () => client.query(toQuery('commit', []))))
      else await client.query('rollback')
      return outcomes
    } catch (error) {
      broken = true
      return [{ tenant, notices: [], error: errorOf(error) }]
    } finally {
      client.release(broken)
    }
  })
}

/** After an error, goes on where the case returns to a savepoint. */
async function runSteps(client: PoolClient, testCase: Case, tenant: number): Promise<StepOutcome[]> {
  const notices: string[] = []
  const onNotice = ({ message }: { message?: string | undefined }) => notices.push(message ?? '')
  client.on('notice', onNotice)
  const outcomes: StepOutcome[] = []
  let failed = false
  try {
    for (const text of textsOf(testCase)) {
      if (failed && !text.startsWith('rollback to')) continue
      // Parameters belong to the one statement of a rotation; scripts have none.
      const outcome = await observe(tenant, notices, () => client.query(toQuery(text, testCase.values)))
      failed = outcome.error !== undefined
      outcomes.push(outcome)
    }
  } finally {
    client.removeListener('notice', onNotice)
  }
  return outcomes
}

async function runCopy(rowhouse: Rowhouse, testCase: Case): Promise<Outcome> {
  const [text = ''] = textsOf(testCase)
  return rowhouse.withTenant(scopeOf(0, testCase.units), async (db) => {
    const outcome = await observe(0, [], async () => {
      const chunks: string[] = []
      for await (const chunk of await db.copyOut(`copy (${text}) to stdout`)) chunks.push(String(chunk))
      const rows = chunks
        .join('')
        .split('\n')
        .filter((line) => line !== '')
      return { command: 'COPY', rowCount: rows.length, rows }
    })
    return [outcome]
  })
}

type Answer = Pick<QueryResult, 'command' | 'rowCount'> & { readonly rows: readonly unknown[] }

async function observe(tenant: number, notices: string[], run: () => Promise<Answer>): Promise<StepOutcome> {
  try {
    const { command, rowCount, rows } = await run()
    const lines = rows.map((row) => JSON.stringify(row)).sort()
    return { tenant, notices: notices.splice(0).sort(), result: [`${command} ${rowCount}`, ...lines].join('\n') }
  } catch (error) {
    return { tenant, notices: notices.splice(0).sort(), error: errorOf(error) }
  }
}

/** Everything an application could read from an error, so that canaries in it are found. */
function errorOf(error: unknown): { state: string; text: string } {
  const { cause, ...own } = error as { cause?: unknown; code?: string }
  const fields = (cause ?? error) as Record<string, unknown>
  const said = ['message', 'detail', 'hint', 'where']
    .map((name) => fields[name])
    .filter((field) => typeof field === 'string')
  return {
    state: String(fields.code ?? own.code ?? 'ERR_UNKNOWN'),
    text: [...new Set([String((error as Error).message), ...said])].join(' | '),
  }
}
