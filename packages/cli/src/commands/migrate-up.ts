import { buildCommand } from '@stricli/core'
import type { FleetEvent, FleetReport, MigrateFleetOptions } from 'rowhouse-server'
import { asTyped, type Context, command, type Io, wholeNumber } from '../command.ts'
import { type ConfigFlags, configFlags, loadServer, operatorFlag, withFleet } from '../control-plane.ts'
import { FINDINGS, MIGRATION, STOPPED } from '../exit-code.ts'
import { printJson } from '../print.ts'
import { homeOf, printLeft } from '../print-fleet.ts'
import { openProgressBar } from '../progress-bar.ts'
import { countText, durationText, isForPeople, toned } from '../terminal.ts'

interface Flags extends ConfigFlags {
  readonly concurrency?: number
  readonly maxErrorRate?: number
  readonly allow?: readonly string[]
  readonly operator?: string
}

/** Failures that are shown while a run goes on; all of them are in `migrate status`. */
const FAILURES_SHOWN = 20

function runCommand(which: 'migrateUp' | 'resumeFleet', docs: { brief: string; fullDescription: string }) {
  return buildCommand<Flags, [], Context>({
    func: command<Flags, []>(async (io, flags) => {
      const server = await loadServer()
      const watcher = isForPeople(io, flags.json) ? watchForPeople(io) : watchForPrograms(io)
      try {
        const report = await withFleet(io, flags, async ({ connections, migrations, waves }) => {
          const more = { ...optionsOf(io, flags), onEvent: watcher.see }
          if (which === 'migrateUp')
            return asTyped(() => server.migrateUp(connections, migrations, { ...waves, ...more }))
          const { run } = await server.fleetStatus(connections, migrations)
          // A run that is continued keeps its own order, also where the configuration has changed since.
          const order = run === undefined || run.state === 'done' ? waves : {}
          return asTyped(() => server.resumeFleet(connections, migrations, { ...order, ...more }))
        })
        watcher.end(report)
        return exitCodeOfRun(report)
      } finally {
        watcher.close()
      }
    }),
    parameters: {
      flags: {
        ...configFlags,
        concurrency: {
          kind: 'parsed',
          parse: wholeNumber(1, 6),
          optional: true,
          brief: 'Homes at a time on each server, 1 to 6 [default = 4]',
          placeholder: 'n',
        },
        maxErrorRate: {
          kind: 'parsed',
          parse: parseShare,
          optional: true,
          brief: "Share of a wave's homes that may fail before the run stops, 0 to 1 [default = 0.01]",
          placeholder: 'share',
        },
        allow: {
          kind: 'parsed',
          parse: String,
          optional: true,
          variadic: true,
          brief: 'Accept errors of this rule of the lint, e.g. M10; may be repeated',
          placeholder: 'rule',
        },
        operator: operatorFlag,
      },
    },
    docs,
  })
}

const ENDINGS =
  'On a terminal a bar shows rate and time left; elsewhere, and with --json, every event is a JSON line. Ctrl-C stops before the next home. Exit codes: 0 every home is current, 1 some were left out (frozen, or their server is down), 3 some failed, 6 the run was stopped.'

export const upCommand = runCommand('migrateUp', {
  brief: 'Migrate the fleet in waves, canary tenants first',
  fullDescription: `Stops when too many homes of a wave fail; what went well stays. ${ENDINGS}`,
})

export const resumeCommand = runCommand('resumeFleet', {
  brief: 'Go on with the run that was stopped or killed, in its order',
  fullDescription: `Homes that failed are tried again. ${ENDINGS}`,
})

function optionsOf(io: Io, { concurrency, maxErrorRate, allow, operator }: Flags): MigrateFleetOptions {
  return {
    ...(concurrency !== undefined && { perServer: concurrency }),
    ...(maxErrorRate !== undefined && { maxErrorRate }),
    ...(allow !== undefined && { allow }),
    ...(operator !== undefined && { operator }),
    ...(io.signal !== undefined && { signal: io.signal }),
  }
}

function parseShare(text: string): number {
  const value = /^(0|1|0?\.\d+|1\.0+|0\.\d+)$/.test(text) ? Number(text) : Number.NaN
  if (value >= 0 && value <= 1) return value
  throw new RangeError('wanted a share from 0 to 1, e.g. 0.05')
}

function exitCodeOfRun({ outcome, left }: FleetReport): number | undefined {
  if (outcome === 'stopped') return STOPPED
  if (outcome === 'failed') return MIGRATION
  return left.length > 0 ? FINDINGS : undefined
}

interface Watcher {
  see(event: FleetEvent): void
  end(report: FleetReport): void
  close(): void
}

/** Every event is a line; the last one is the report, also where there was nothing to do. */
function watchForPrograms(io: Io): Watcher {
  let reported = false
  return {
    see(event) {
      printJson(io, event)
      reported ||= event.type === 'done'
    },
    end(report) {
      if (!reported) printJson(io, { type: 'done', report })
    },
    close() {},
  }
}

function watchForPeople(io: Io): Watcher {
  const { stderr } = io
  const bar = openProgressBar(io)
  let total = 0
  let failed = 0
  let waveBegan = 0
  const see = (event: FleetEvent) => {
    if (event.type === 'run-started') {
      total = event.total
      bar.keep(`${countText(total)} homes to ${event.target ?? 'no migration'}`)
    }
    if (event.type === 'wave-started') {
      waveBegan = performance.now()
    }
    if (event.type === 'home-done' || event.type === 'home-failed') {
      const done = event.done + event.failed
      const note = event.failed === 0 ? {} : { note: toned(io, stderr, 'bad', `${countText(event.failed)} failed`) }
      bar.show({ label: event.wave, done, total: Math.max(total, event.total), ...note })
    }
    if (event.type === 'home-failed') {
      failed += 1
      const { tenant, home, code, message } = event
      if (failed <= FAILURES_SHOWN)
        bar.keep(
          `  ${toned(io, stderr, 'bad', '✗')} ${tenant ?? homeOf(home)}: ${code === undefined ? '' : `${code}: `}${message}`,
        )
    }
    if (event.type === 'wave-done' && event.done + event.failed > 0)
      bar.keep(waveLine(io, event, performance.now() - waveBegan))
  }
  const end = (report: FleetReport) => {
    bar.end()
    printReport(io, report)
  }
  return { see, end, close: () => bar.end() }
}

const WAVE_WIDTH = 12

function waveLine(io: Io, { wave, done, failed }: { wave: string; done: number; failed: number }, ms: number): string {
  const mark = failed === 0 ? toned(io, io.stderr, 'good', '✓') : toned(io, io.stderr, 'bad', '✗')
  const homes = `${countText(done).padStart(6)} ${done === 1 ? 'home ' : 'homes'}`
  const bad = failed === 0 ? '' : `, ${countText(failed)} failed`
  return `  ${mark} ${wave.padEnd(WAVE_WIDTH)} ${homes}${bad}  ${toned(io, io.stderr, 'dim', durationText(ms))}`
}

function printReport(io: Io, { outcome, run, target, done, failures, left, reason, ms }: FleetReport): void {
  const out = (text: string) => io.stdout.write(`${text}\n`)
  if (run === undefined) {
    out(left.length === 0 ? `Every home is at ${target}` : 'Nothing could be migrated')
  } else {
    const rate = done === 0 ? '' : `, ${(done / (ms / 1_000)).toFixed(0)} per second`
    const figures = `${countText(done)} homes in ${durationText(ms)}${rate}`
    out('')
    if (outcome === 'done') out(toned(io, io.stdout, 'good', `Migrated ${figures}: at ${target}`))
    if (outcome === 'failed')
      out(toned(io, io.stdout, 'bad', `Migrated ${figures}; ${countText(failures.length)} failed`))
    if (outcome === 'stopped') {
      out(toned(io, io.stdout, 'bad', `Stopped: ${reason}`))
      out(`${countText(done)} migrated, ${countText(failures.length)} failed, ${countText(left.length)} not begun`)
    }
    if (outcome !== 'done')
      out(toned(io, io.stdout, 'dim', 'Mend what failed, then go on with "rowhouse migrate resume"'))
  }
  if (outcome !== 'stopped' && left.length > 0) {
    out(toned(io, io.stdout, 'dim', 'left out'))
    printLeft(io, io.stdout, left)
  }
}
