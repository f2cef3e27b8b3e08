import { randomInt } from 'node:crypto'
import { DBOS, type DLogger } from '@dbos-inc/dbos-sdk'
import pg from 'pg'
import { ConfigError, isRowhouseError, type Logger } from 'rowhouse'

/** Its tables lie in a schema of their own of the central database. */
const JOURNAL_SCHEMA = 'rowhouse_journal'

/** A step that fails for a reason that passes is tried again for some seconds before the run is undone. */
const RETRIES = { retriesAllowed: true, maxAttempts: 5, intervalSeconds: 0.2, backoffRate: 2, shouldRetry: canPass }

/**
 * Durable work: named steps whose results are kept in the central database, so that a run that was killed goes on after
 * the last step it finished, in the next process that opens the journal.
 *
 * DBOS keeps one journal per process, so there is one here as well.
 */
export interface Journal {
  /**
   * Starts a run, or joins the one of the same id, and waits for its end.
   *
   * @param id  runs with one id are one run, whichever process starts them
   */
  run<Job, Outcome>(work: DurableWork<Job, Outcome>, id: string, job: Job): Promise<Outcome>
  /** Returns what a run was started with and how it ended, null while it has not; undefined when there is none of this id. */
  find<Job, Outcome>(id: string): Promise<{ readonly job: Job; readonly outcome: Outcome | null } | undefined>
  close(): Promise<void>
}

/** Runs a named piece of work once, whatever happens to the process: the journal's part of a workflow. */
export type RunStep = <T>(name: string, work: (signal: AbortSignal) => Promise<T>) => Promise<T>

export type DurableWork<Job, Outcome> = (job: Job) => Promise<Outcome>

/** Says what a kind of run does. Called once per name, when the module is loaded: recovery looks it up by name. */
export function defineWork<Job, Outcome>(
  name: string,
  work: (job: Job, run: RunStep) => Promise<Outcome>,
): DurableWork<Job, Outcome> {
  return DBOS.registerWorkflow((job: Job) => work(job, runStep), { name })
}

const runStep: RunStep = async (name, work) => {
  try {
    const attempt = () => work(DBOS.stepStatus?.cancelSignal ?? new AbortController().signal)
    return await DBOS.runStep(attempt, { name, ...RETRIES })
  } catch (error) {
    // What failed each time it was tried comes wrapped; the last time says why.
    const { errors } = error as { errors?: unknown }
    throw Array.isArray(errors) && errors.length > 0 ? errors.at(-1) : error
  }
}

/** Takes runs that have ended out of the journal, with what they were started with, did and returned. */
export async function forgetRuns(ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await DBOS.deleteWorkflows([...ids])
}

let open = false

/** First half of the keys of the advisory locks that show which processes are alive; any constant no other program uses. */
const ALIVE = 726_237_441
/** Lets one process at a time take over runs of dead ones. */
const TAKEOVER_LOCK = 7_262_374_405
const TAKEOVER_INTERVAL_MS = 10_000

/**
 * Opens the journal and goes on with what dead processes left unfinished, now and from time to time.
 *
 * A process is alive while its session holds the advisory lock of its number: PostgreSQL frees it when the process is gone.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when this process has one open already
 */
export async function openJournal(centralUrl: string, log: Logger): Promise<Journal> {
  if (open)
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot open a second control plane in this process: close the first one',
    )
  open = true
  const number = randomInt(1, 2 ** 31 - 1)
  const sign = new pg.Client({ connectionString: centralUrl, application_name: 'rowhouse-journal' })
  sign.on('error', (error) => log.error({ err: error }, 'the journal lost its sign of life: runs may be taken over'))
  try {
    await sign.connect()
    await sign.query('select pg_advisory_lock($1, $2)', [ALIVE, number])
    DBOS.setConfig({
      name: 'rowhouse',
      systemDatabaseUrl: centralUrl,
      systemDatabaseSchemaName: JOURNAL_SCHEMA,
      executorID: String(number),
      // Runs are continued by the next version as well: what a step is, is decided by its name.
      applicationVersion: '1',
      enableOTLP: false,
      logger: toJournalLogger(log),
    })
    await DBOS.launch()
    await takeOver(sign)
  } catch (error) {
    await sign.end().catch(() => {})
    open = false
    throw error
  }
  const timer = setInterval(() => takeOver(sign).catch(() => {}), TAKEOVER_INTERVAL_MS).unref()
  return {
    run: async (work, id, job) => (await DBOS.startWorkflow(work, { workflowID: id })(job)).getResult(),
    find: async (id) => {
      const [found] = await DBOS.listWorkflows({ workflowIDs: [id], loadInput: true, loadOutput: true })
      return found && { job: found.input?.[0] as never, outcome: found.output as never }
    },
    close: async () => {
      clearInterval(timer)
      await DBOS.shutdown()
      await sign.end()
      open = false
    },
  }
}

/** Continues runs whose process holds its lock no more. */
async function takeOver(sign: pg.Client): Promise<void> {
  const { rows } = await sign.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [TAKEOVER_LOCK])
  if (rows[0]?.mine !== true) return
  try {
    const running = await DBOS.listWorkflows({ status: 'PENDING', loadInput: false, loadOutput: false })
    const dead = await findDead(sign, [...new Set(running.map(({ executorId }) => executorId ?? ''))])
    const orphaned = running.filter(({ executorId }) => dead.has(executorId ?? '')).map(({ workflowID }) => workflowID)
    if (orphaned.length > 0) await DBOS.resumeWorkflows(orphaned)
  } finally {
    await sign.query('select pg_advisory_unlock($1)', [TAKEOVER_LOCK])
  }
}

async function findDead(sign: pg.Client, executors: readonly string[]): Promise<Set<string>> {
  const { rows } = await sign.query<{ executor: string }>(
    `select e.executor from unnest($2::text[]) e (executor)
      where e.executor !~ '^[0-9]{1,10}$' or not exists (
        select from pg_locks l where l.locktype = 'advisory' and l.granted and l.objsubid = 2
           and l.classid::bigint = $1 and l.objid::bigint = e.executor::bigint
           and l.database = (select oid from pg_database where datname = current_database()))`,
    [ALIVE, executors],
  )
  return new Set(rows.map(({ executor }) => executor))
}

/** A server that is away, a lock, an overloaded hook: calling again can help. */
function canPass(error: unknown): boolean {
  if (isRowhouseError(error)) return error.retryable
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && /^(08|53|57P|40|55)|^E(CONN|PIPE|HOST|TIMEDOUT)/.test(code)
}

/** What the journal says about itself is for whoever debugs it. */
function toJournalLogger(log: Logger): DLogger {
  return {
    info: () => {},
    debug: () => {},
    warn: (entry) => log.warn({ part: 'journal' }, String(entry)),
    error: (entry) => log.error({ part: 'journal', err: entry }, 'the journal reports an error'),
  }
}
