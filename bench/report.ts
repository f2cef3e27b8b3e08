import type { benchBackup } from './backup.ts'
import type { benchContextSwitches } from './context-switches.ts'
import type { benchCounters } from './counters.ts'
import type { benchCrowd } from './crowd.ts'
import type { benchDirectory } from './directory.ts'
import type { benchFleet } from './fleet.ts'
import type { benchMove } from './move.ts'
import type { benchProof } from './proof.ts'
import type { benchProvision } from './provision.ts'
import type { ScopedScenario } from './scoped.ts'
import type { benchTenantFilter } from './tenant-filter.ts'
import type { TripwireScenario } from './tripwire.ts'

/** What one run measured; parts that were not asked for are missing. */
export interface Report {
  readonly node: string
  readonly postgres: string
  readonly cores: number
  readonly cpu: string
  readonly date: string
  readonly scoped?: readonly ScopedScenario[]
  /** Ours divided by each rival's, of scoped reads per second, 16 in flight. */
  readonly ratios?: Readonly<Record<string, number>>
  readonly filter?: Awaited<ReturnType<typeof benchTenantFilter>>
  readonly directory?: Awaited<ReturnType<typeof benchDirectory>>
  readonly counters?: Awaited<ReturnType<typeof benchCounters>>
  readonly tripwire?: readonly TripwireScenario[]
  readonly proof?: Awaited<ReturnType<typeof benchProof>>
  readonly provision?: Awaited<ReturnType<typeof benchProvision>>
  readonly fleet?: Awaited<ReturnType<typeof benchFleet>>
  readonly move?: Awaited<ReturnType<typeof benchMove>>
  readonly backup?: Awaited<ReturnType<typeof benchBackup>>
  readonly crowd?: Awaited<ReturnType<typeof benchCrowd>>
  readonly context?: Awaited<ReturnType<typeof benchContextSwitches>>
}

/** Writes the report as Markdown: what `bench/README.md` quotes. */
export function printReport(report: Report): string {
  const lines = [
    `Node ${report.node}, PostgreSQL ${report.postgres}, ${report.cores} × ${report.cpu}, ${report.date}`,
    '',
  ]
  for (const scenario of report.scoped ?? []) lines.push(...scenarioTable(scenario), '')
  if (report.filter) {
    const { before, after, rows } = report.filter
    lines.push(
      `Tenant filter on ${rows} rows: p50 ${before.p50Ms} ms before, ${after.p50Ms} ms after the composite index`,
      '',
    )
    lines.push(
      'Before:',
      ...before.plan.map((line) => `    ${line}`),
      'After:',
      ...after.plan.map((line) => `    ${line}`),
      '',
    )
  }
  if (report.directory) {
    const { tenants, cold, cached, heapMb } = report.directory
    lines.push(
      `Host → context, ${tenants} tenants: cached p50 ${cached.p50Ms} ms, p99 ${cached.p99Ms} ms; cold p99 ${cold.p99Ms} ms; heap ${heapMb} MB`,
      '',
    )
  }
  if (report.counters) {
    const { cpuPerStatementUs, countingUs, sharePercent } = report.counters
    lines.push(`Counting: ${countingUs} µs of ${cpuPerStatementUs} µs per statement, ${sharePercent} %`, '')
  }
  for (const scenario of report.tripwire ?? []) lines.push(...tripwireTable(scenario), '')
  if (report.provision) lines.push(...provisionLines(report.provision), '')
  if (report.fleet) lines.push(...fleetLines(report.fleet), '')
  if (report.move) lines.push(...moveLines(report.move), '')
  if (report.backup) lines.push(...backupLines(report.backup), '')
  if (report.crowd) lines.push(...crowdLines(report.crowd), '')
  if (report.proof) lines.push(...proofLines(report.proof), '')
  if (report.context) {
    const { switches, wrong, failedOnPurpose, seconds, control } = report.context
    lines.push(
      `${switches} tenant switches in ${seconds} s, ${failedOnPurpose} failed on purpose: ${wrong} wrong tenants`,
      `Control, a stock pool that reads AsyncLocalStorage in the client: ${control.wrong} wrong of ${control.queries}`,
      '',
    )
  }
  return `${lines.join('\n')}\n`
}

function proofLines({ doctor, verify, mutations, fuzz, inject }: NonNullable<Report['proof']>): string[] {
  return [
    `Doctor: ${doctor.tables} tables in ${doctor.ms} ms`,
    `Verify, freight: ${verify.refused} refused, ${verify.leaked} leaked, ${verify.controls.fired} of ${verify.controls.total} controls fired, ${verify.seconds} s`,
    `Mutations, freight: ${mutations.killed} of ${mutations.total} noticed, ${mutations.seconds} s`,
    `Fuzz: ${fuzz.statements} statements at ${fuzz.perSecond} per second, ${fuzz.failures} failures, ${fuzz.controls} controls fired`,
    `Injection: ${inject.payloads} payloads in ${inject.runs} runs, ${inject.leftOver} left something behind, ${inject.seconds} s`,
  ]
}

function tripwireTable(scenario: TripwireScenario): string[] {
  const { rows, inFlight, off, enforce, honey } = scenario
  const line = (name: string, figures: typeof off, lost: string, cpu: string) =>
    `| ${name} | ${figures.opsPerSecond} | ${figures.p50Ms} | ${figures.p99Ms} | ${figures.cpuPerReadUs} | ${lost} | ${cpu} |`
  return [
    `tripwire, ${rows} rows with tenant_id, ${inFlight} in flight`,
    '',
    '| | per second | p50 ms | p99 ms | CPU µs | throughput lost | CPU added |',
    '|---|---|---|---|---|---|---|',
    line('off', off, '', ''),
    line('enforce', enforce, `${scenario.enforceCostPercent} %`, `${scenario.enforceCpuPercent} %`),
    line('with a honey token', honey, `${scenario.honeyCostPercent} %`, `${scenario.honeyCpuPercent} %`),
  ]
}

function scenarioTable({ operation, inFlight, networkMs, figures, ratios, p99Ratio }: ScopedScenario): string[] {
  const rows = Object.entries(figures).map(
    ([name, { opsPerSecond, p50Ms, p99Ms }]) =>
      `| ${name} | ${opsPerSecond} | ${p50Ms} | ${p99Ms} | ${name === 'rowhouse' ? '' : `${ratios[name]} ×`} |`,
  )
  return [
    `${operation}, ${inFlight} in flight, ${networkMs} ms of network (p99 against hand-written: ${p99Ratio} ×)`,
    '',
    '| | per second | p50 ms | p99 ms | Rowhouse is |',
    '|---|---|---|---|---|',
    ...rows,
  ]
}

function provisionLines({ tables, signUps, bare, ...models }: NonNullable<Report['provision']>): string[] {
  const row = (name: string, each: { p50Ms: number; p95Ms: number }) => `| ${name} | ${each.p50Ms} | ${each.p95Ms} |`
  return [
    `From sign-up to the first query's answer, ${tables} tables, ${signUps} sign-ups each:`,
    '',
    '| | p50 ms | p95 ms |',
    '|---|---|---|',
    row('pooled', models.pooled),
    row('schema', models.schema),
    row('database', models.database),
    row('standby (schema)', models.standby),
    row('bare: the SQL of a schema in one batch', bare.schema),
    row('bare: CREATE DATABASE of an empty template', bare.database),
  ]
}

function fleetLines({ homes, provision, noopMs, column }: NonNullable<Report['fleet']>): string[] {
  return [
    `Fleet of ${homes} homes: provisioned at ${provision.perSecond} tenants/s (${provision.seconds} s); deployment that changes nothing ${noopMs} ms`,
    `One column in each: ${column.oursMs} ms, ${column.homesPerSecond} homes/s, ${column.ofBare} × a bare parallel loop (${column.bareMs} ms)`,
  ]
}

function moveLines({ copy, capture, replication, memory, ...moved }: NonNullable<Report['move']>): string[] {
  const { pauseMs, gapMs, moverPauseMs, neighbourSlowestMs, moveMs } = moved
  const pauses = { 'slowest write': pauseMs, 'longest gap': gapMs, 'shut out': moverPauseMs }
  const rows = { ...pauses, "neighbour's slowest write": neighbourSlowestMs, 'whole move': moveMs }
  const cost = ({ writesPerSecond: ops, microsecondsPerRow: row }: (typeof capture)['mover']) =>
    `${ops.without} | ${ops.with} | ${row.without} | ${row.with} |`
  return [
    `${moved.moves} moves, ${moved.writes} writes: ${moved.lost} lost, ${moved.duplicated} duplicated, failed ${JSON.stringify(moved.failures)}`,
    `Control, one row taken away and one doubled: ${moved.control.lost} lost, ${moved.control.duplicated} duplicated`,
    '',
    '| ms | p50 | p99 |',
    '|---|---|---|',
    ...Object.entries(rows).map(([name, { p50, p99 }]) => `| ${name} | ${p50} | ${p99} |`),
    '',
    `Copy: ${copy.rowsPerSecond} rows/s, ${copy.copyRatio} × COPY | COPY (${copy.oursMs} against ${copy.bareMs} ms)`,
    ...memory.map(
      ({ rows: n, beforeMb, mostMb, ms }) => `Memory at ${n} rows: ${beforeMb} MB, at most ${mostMb} MB, ${ms} ms`,
    ),
    `Row-filtered replication: copied in ${replication.copyMs} ms; last write applied after p50 ${replication.appliedMs.p50Ms}, p99 ${replication.appliedMs.p99Ms} ms`,
    '',
    '| capture | writes/s without | with | µs per row without | with |',
    '|---|---|---|---|---|',
    `| of the tenant that moves | ${cost(capture.mover)}`,
    `| of a neighbour | ${cost(capture.neighbour)}`,
  ]
}

function backupLines({ rows, memory, ...each }: NonNullable<Report['backup']>): string[] {
  return [
    `Backup of ${rows} rows: ${each.backupMs} ms, ${each.backupRatio} × of a bare COPY out (${each.bareOutMs} ms)`,
    `Restore: ${each.restoreMs} ms, ${each.restoreRatio} × of a bare DELETE and COPY in (${each.bareInMs} ms)`,
    `${memory.rows} rows: backup ${memory.backupMs} ms with ${memory.backupMb} MB more, restore ${memory.restoreMs} ms with ${memory.restoreMb} MB more`,
  ]
}

function crowdLines({ connections, inFlight, models, stages, idle }: NonNullable<Report['crowd']>): string[] {
  const ratios = Object.entries(models).map(([model, { ofPooled }]) => `${model} ${ofPooled}`)
  return [
    `Scoped reads, × of pooled: ${ratios.join(', ')}`,
    '',
    `Tenants of all models, ${inFlight} in flight, at most ${connections} connections:`,
    '',
    '| tenants | reads/s | p50 ms | p99 ms | first visit ms | failed | connections | p99 by model |',
    '|---|---|---|---|---|---|---|---|',
    ...stages.map((each) => {
      const byModel = Object.entries(each.byModel).map(([model, { p99Ms }]) => `${model} ${p99Ms}`)
      return `| ${each.tenants} | ${each.opsPerSecond} | ${each.p50Ms} | ${each.p99Ms} | ${each.firstVisitsMs} | ${each.failed} | ${each.mostConnections} | ${byModel.join(', ')} |`
    }),
    '',
    `Process with ${idle.tenants} tenants known: heap ${idle.heapMb} MB, ${idle.heapPerTenantKb} KB per tenant`,
  ]
}
