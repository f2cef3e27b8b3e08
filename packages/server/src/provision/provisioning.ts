import type { Logger } from 'rowhouse'
import { registerHome } from '../fleet/homes.ts'
import { digestOf } from '../fleet/ledger.ts'
import type { CompiledRules } from '../placing/compile-rules.ts'
import { CENTRAL } from '../registry/operator-connections.ts'
import type { RunStep } from './journal.ts'
import { bringUpToDate, hasNamespace, makeNamespace, removeNamespace, settle, type Workshop } from './namespace.ts'
import type { ProvisioningJob } from './provisioning-request.ts'
import { type ChosenHome, register, unregister } from './register.ts'
import { type FailedRun, failedRun } from './run-outcome.ts'
import type { ProvisioningStep, StepContext } from './step.ts'
import { asNewTenant, type TenantClient, type TenantStep } from './tenant-step.ts'

export interface Provisioning extends Workshop {
  readonly rules: CompiledRules
  /** The platform's own steps, in order, after the tenant's tables are there and before anybody is let in. */
  readonly steps: readonly (ProvisioningStep | TenantStep)[]
  readonly log: Logger
  /** Told of every step of every run of this process, those it took over included. */
  readonly onStep?: ((event: StepEvent) => void) | undefined
}

/** A step of provisioning, while it happens. `undo …` takes one back. */
export interface StepEvent {
  /** The tenant's, as it was asked for. */
  readonly slug: string
  readonly step: string
  readonly state: 'begun' | 'done' | 'failed'
  readonly elapsedMs: number
}

/** How a run ended. Journalled, so plain data. */
export type ProvisioningOutcome =
  | { readonly ok: true; readonly home: ChosenHome }
  | (FailedRun & {
      /** Steps whose undoing failed as well: what they made is still there, and the tenant is in state `failed`. */
      readonly left: readonly string[]
    })

interface Stage {
  readonly name: string
  do(signal: AbortSignal): Promise<void>
  undo(signal: AbortSignal): Promise<void>
}

/**
 * Makes a tenant: registry row, namespace, key, tables, the platform's steps, and at last the state in which it is
 * served. Each step looks first and acts then. When one fails for good, those before it are undone in reverse.
 */
export async function provision(p: Provisioning, job: ProvisioningJob, run: RunStep): Promise<ProvisioningOutcome> {
  let home: ChosenHome
  try {
    home = await run('register', () => register(p.connections, p.rules, job))
  } catch (error) {
    return { ...failedRun('register', error), left: [] }
  }
  const stages = stagesOf(p, job, home)
  for (const [index, stage] of stages.entries()) {
    try {
      await run(stage.name, (signal) => stage.do(signal))
    } catch (error) {
      const left = await undo(p, job, home, stages.slice(0, index + 1), run)
      return { ...failedRun(stage.name, error), left }
    }
  }
  return { ok: true, home }
}

function stagesOf(p: Provisioning, job: ProvisioningJob, home: ChosenHome): Stage[] {
  const nothing = async () => {}
  return [
    {
      name: 'namespace',
      do: async () => {
        if (!(await hasNamespace(p, home))) await makeNamespace(p, home)
      },
      undo: () => removeNamespace(p, home),
    },
    { name: 'key', do: () => settle(p, home), undo: nothing },
    { name: 'tables', do: () => bringUpToDate(p, home), undo: nothing },
    // A tenant in reserve has no customer yet: what is done for one waits until it has.
    ...(job.forStandby ? [] : p.steps.map((step) => toStage(p, job, home, step))),
    { name: 'open', do: () => open(p, job, home), undo: nothing },
  ]
}

function toStage(p: Provisioning, job: ProvisioningJob, home: ChosenHome, given: ProvisioningStep | TenantStep): Stage {
  const step = 'kind' in given ? bindToTenant(p, job, home, given) : given
  const { slug, name, plan, labels, administrator, idempotencyKey } = job
  const context = (signal: AbortSignal): StepContext => ({
    tenant: { id: home.tenantId, slug, name, plan, region: home.region, labels, administrator, home },
    idempotencyKey,
    signal,
    log: p.log,
  })
  return {
    name: step.name,
    do: async (signal) => {
      if (!(await step.check(context(signal)))) await step.do(context(signal))
    },
    undo: (signal) => step.undo(context(signal)),
  }
}

function bindToTenant(p: Provisioning, job: ProvisioningJob, home: ChosenHome, step: TenantStep): ProvisioningStep {
  const inside = <T>(fn: (db: TenantClient) => Promise<T>) => asNewTenant(p.connections, p.rootKey, home, job.slug, fn)
  return {
    name: step.name,
    check: (context) => inside((db) => step.check(db, context)),
    do: (context) => inside((db) => step.do(db, context)),
    undo: async (context) => {
      // Without its tables there is nothing to take back, and no key to do it with.
      if (await hasNamespace(p, home)) await inside((db) => step.undo(db, context))
    },
  }
}

/** From here on the tenant is served, or waits to be claimed. */
async function open({ connections, migrations }: Provisioning, job: ProvisioningJob, home: ChosenHome): Promise<void> {
  await connections.transact(CENTRAL, async (client) => {
    if (home.model !== 'pooled') {
      await registerHome(client, {
        ...home,
        tenantId: home.tenantId,
        head: migrations.at(-1)?.id,
        digest: digestOf(migrations),
      })
    }
    const text = `update rowhouse.tenant set state = $2 where id = $1 and state = 'provisioning'`
    await client.query(text, [home.tenantId, job.forStandby ? 'standby' : 'active'])
  })
}

/** Returns the names of the steps that could not be undone; then the tenant stays, marked as failed. */
async function undo(
  p: Provisioning,
  job: ProvisioningJob,
  home: ChosenHome,
  stages: readonly Stage[],
  run: RunStep,
): Promise<string[]> {
  const left: string[] = []
  for (const stage of stages.toReversed()) {
    try {
      await run(`undo ${stage.name}`, (signal) => stage.undo(signal))
    } catch (error) {
      p.log.error({ err: error, tenant: job.slug, step: stage.name }, 'provisioning could not be undone')
      left.push(stage.name)
    }
  }
  if (left.length === 0) await run('unregister', () => unregister(p.connections, home))
  else await run('mark as failed', () => markFailed(p, home))
  return left
}

async function markFailed({ connections }: Provisioning, home: ChosenHome): Promise<void> {
  await connections.transact(CENTRAL, (client) =>
    client.query(`update rowhouse.tenant set state = 'failed' where id = $1 and state = 'provisioning'`, [
      home.tenantId,
    ]),
  )
}
