import { buildCommand, buildRouteMap } from '@stricli/core'
import type { FleetPlan, FleetStatus } from 'rowhouse-server'
import { asTyped, type Context, command, type Io } from '../command.ts'
import { type ConfigFlags, configFlags, loadServer, withFleet } from '../control-plane.ts'
import { FINDINGS } from '../exit-code.ts'
import { printJson, printRows } from '../print.ts'
import { homeOf, lintLines, printLeft } from '../print-fleet.ts'
import { countText, toned } from '../terminal.ts'
import { driftCommand } from './migrate-drift.ts'
import { resumeCommand, upCommand } from './migrate-up.ts'

interface PlanFlags extends ConfigFlags {
  readonly allow?: readonly string[]
}

const plan = buildCommand<PlanFlags, [], Context>({
  func: command<PlanFlags, []>(async (io, flags) => {
    const { planMigrations } = await loadServer()
    const found = await withFleet(io, flags, ({ connections, migrations, waves }) =>
      asTyped(() => planMigrations(connections, migrations, waves)),
    )
    const allowed = new Set(flags.allow)
    const errors = found.findings.filter(
      ({ severity, allowed: reason, rule }) => severity === 'error' && reason === undefined && !allowed.has(rule),
    )
    if (flags.json) printJson(io, planJson(found))
    else printPlan(io, found)
    return errors.length > 0 ? FINDINGS : undefined
  }),
  parameters: {
    flags: {
      ...configFlags,
      allow: {
        kind: 'parsed',
        parse: String,
        optional: true,
        variadic: true,
        brief: 'Rule of the lint whose errors are accepted, e.g. M10; may be repeated',
        placeholder: 'rule',
      },
    },
  },
  docs: {
    brief: 'Show what "migrate up" would do: migrations, homes per wave, what the lint says',
    fullDescription:
      'Changes nothing. Exit code 1: the lint found errors that nobody allowed, so "migrate up" would refuse.',
  },
})

function planJson({ target, pending, waves, left, findings }: FleetPlan) {
  return {
    target,
    pending: pending.map(({ id, file, phase }) => ({ id, file, phase })),
    waves: waves.map(({ name, strict, homes }) => ({ name, strict, homes: homes.length })),
    left: left.map(({ home, tenant, reason }) => ({ home: homeOf(home), tenant, reason })),
    findings,
  }
}

function printPlan(io: Io, { target, pending, waves, left, findings }: FleetPlan): void {
  const heading = (text: string) => io.stdout.write(`${toned(io, io.stdout, 'dim', text)}\n`)
  const homes = waves.reduce((sum, wave) => sum + wave.homes.length, 0)
  if (homes === 0 && left.length === 0) {
    io.stdout.write(`Every home is at ${target}\n`)
    return
  }
  heading('migrations')
  for (const { id, phase } of pending) io.stdout.write(`  ${id}${phase === 'any' ? '' : `  ${phase}`}\n`)
  heading(`waves, ${countText(homes)} homes`)
  const width = Math.max(0, ...waves.map(({ name }) => name.length))
  for (const { name, homes, strict } of waves)
    io.stdout.write(
      `  ${name.padEnd(width)}  ${countText(homes.length).padStart(6)}${strict ? '  stops at the first failure' : ''}\n`,
    )
  if (left.length > 0) {
    heading('left out')
    printLeft(io, io.stdout, left)
  }
  if (findings.length > 0) heading('lint')
  for (const line of lintLines(io, io.stdout, findings)) io.stdout.write(`${line}\n`)
}

const status = buildCommand<ConfigFlags, [], Context>({
  func: command<ConfigFlags, []>(async (io, flags) => {
    const { fleetStatus } = await loadServer()
    const found = await withFleet(io, flags, ({ connections, migrations }) => fleetStatus(connections, migrations))
    if (flags.json) printJson(io, found)
    else printStatus(io, found)
    return found.behind > 0 || found.failed > 0 ? FINDINGS : undefined
  }),
  parameters: { flags: configFlags },
  docs: {
    brief: 'Show how far the fleet is',
    fullDescription: 'Asks the central database only. Exit code 1: homes are behind, or their last migration failed.',
  },
})

function printStatus(io: Io, found: FleetStatus): void {
  const { target, homes, current, behind, failed, frozen, unreachable, heads, failures, run } = found
  const { stdout } = io
  const parts = [
    `${countText(current)} of ${countText(homes)} homes at ${target}`,
    ...Object.entries({ behind, failed, frozen, 'on servers that are down': unreachable })
      .filter(([, count]) => count > 0)
      .map(([what, count]) => `${countText(count)} ${what}`),
  ]
  stdout.write(`${toned(io, stdout, current === homes ? 'good' : 'bold', parts.join(' · '))}\n\n`)
  const rows = heads.map(({ server, head, homes }) => ({ server, head: head ?? 'none yet', homes }))
  if (rows.length > 0) printRows(io, rows, ['server', 'homes', 'head'])
  if (failures.length > 0) stdout.write(`\n${toned(io, stdout, 'dim', 'failed')}\n`)
  for (const { tenant, error, ...home } of failures)
    stdout.write(`  ${toned(io, stdout, 'bad', '✗')} ${tenant ?? homeOf(home)}: ${error}\n`)
  if (run !== undefined) {
    const { id, operator, startedAt, state, reason, done } = run
    const why = reason === undefined ? '' : `, ${reason}`
    const text = `run ${id} by ${operator} at ${startedAt.toISOString()}: ${state}, ${countText(done)} migrated, ${countText(run.failed)} failed${why}`
    stdout.write(`\n${toned(io, stdout, 'dim', text)}\n`)
  }
}

export const migrateRoutes = buildRouteMap({
  routes: { plan, up: upCommand, resume: resumeCommand, status, drift: driftCommand },
  docs: { brief: 'Migrations of the fleet: plan, up, resume, status, drift' },
})
