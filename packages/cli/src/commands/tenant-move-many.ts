import { setTimeout as delay } from 'node:timers/promises'
import { buildCommand } from '@stricli/core'
import type { BulkMoves, BulkOutcome, BulkRecord, BulkRequest, ControlPlane, Model } from 'rowhouse-server'
import { asTyped, type Context, command, type Io, wholeNumber } from '../command.ts'
import { type ConfigFlags, configFlags, operatorFlag, withControlPlane } from '../control-plane.ts'
import { STOPPED, UsageError } from '../exit-code.ts'
import { printJson } from '../print.ts'
import { openProgressBar } from '../progress-bar.ts'
import { durationText, isForPeople } from '../terminal.ts'
import { operatorOf, outsideRegionFlag, parseReason } from './tenant-move.ts'
import { printBulk, printBulkList, printBulkPlan, printOutcome } from './tenant-move-many-print.ts'

interface Flags extends ConfigFlags {
  readonly to: Model
  readonly server: string
  readonly tenants?: readonly string[]
  readonly fromModel?: Model
  readonly fromServer?: string
  readonly plan?: string
  readonly smallerThan?: number
  readonly largerThan?: number
  readonly limit?: number
  readonly name?: string
  readonly reason?: string
  readonly operator?: string
  readonly concurrency?: number
  readonly maxFailures?: number
  readonly outsideRegion: boolean
  readonly dryRun: boolean
}

const POLL_MS = 500

const moveMany = buildCommand<Flags, [], Context>({
  func: command<Flags, []>(async (io, flags) => {
    const request = toRequest(flags)
    return withControlPlane(io, flags, async (plane) => {
      if (!flags.dryRun) return moveAll(io, flags, plane, request)
      printBulkPlan(io, await asTyped(() => plane.moves.many.plan(request)), flags.json)
      return undefined
    })
  }),
  parameters: {
    flags: {
      ...configFlags,
      to: { kind: 'enum', values: ['pooled', 'schema', 'database'], brief: 'How they shall live' },
      server: { kind: 'parsed', parse: String, brief: 'Where they shall live', placeholder: 'name' },
      tenants: {
        kind: 'parsed',
        parse: String,
        optional: true,
        variadic: ',',
        brief: 'Those only: slugs or ids, separated by commas',
        placeholder: 'names',
      },
      fromModel: {
        kind: 'enum',
        values: ['pooled', 'schema', 'database'],
        optional: true,
        brief: 'Those that live so only',
      },
      fromServer: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'Those on this server only',
        placeholder: 'name',
      },
      plan: { kind: 'parsed', parse: String, optional: true, brief: 'Those of this plan only', placeholder: 'name' },
      smallerThan: {
        kind: 'parsed',
        parse: parseBytes,
        optional: true,
        brief: 'Those only that take less where they live, e.g. 100MB',
        placeholder: 'size',
      },
      largerThan: {
        kind: 'parsed',
        parse: parseBytes,
        optional: true,
        brief: 'Those only that take more',
        placeholder: 'size',
      },
      limit: {
        kind: 'parsed',
        parse: wholeNumber(1, 100_000),
        optional: true,
        brief: 'So many at most, the smallest first',
        placeholder: 'n',
      },
      name: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'What it is called: asked for again under this name, it goes on [needed unless --dry-run]',
        placeholder: 'name',
      },
      reason: {
        kind: 'parsed',
        parse: parseReason,
        optional: true,
        brief: 'Why, for the record [needed unless --dry-run]',
        placeholder: 'text',
      },
      operator: operatorFlag,
      concurrency: {
        kind: 'parsed',
        parse: wholeNumber(1, 3),
        optional: true,
        brief: 'Moves at one time [default = 2]',
        placeholder: 'n',
      },
      maxFailures: {
        kind: 'parsed',
        parse: wholeNumber(1, 100_000),
        optional: true,
        brief: 'Begin no further tenant after so many failed [default = 1]',
        placeholder: 'n',
      },
      outsideRegion: outsideRegionFlag,
      dryRun: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Look at every tenant, print what each costs before and after; change nothing',
      },
    },
  },
  docs: {
    brief: 'Move many tenants to another model or server while they work: consolidate, split, empty a server',
    fullDescription: [
      'The smallest one goes alone, then the others by size. What cannot be moved is named and left out. Each tenant keeps its old home',
      'until move-many-complete; until then move-many-revert goes back. Killed or stopped, the same command with the same name goes on.',
      'Ctrl-C begins no further tenant and waits for those under way. Ends with 6 when tenants are left.',
    ].join('\n'),
  },
})

function toRequest(flags: Flags): BulkRequest {
  const { to: model, server, tenants, limit, concurrency, outsideRegion } = flags
  const from = {
    ...(flags.fromModel !== undefined && { model: flags.fromModel }),
    ...(flags.fromServer !== undefined && { server: flags.fromServer }),
    ...(flags.plan !== undefined && { plan: flags.plan }),
    ...(flags.smallerThan !== undefined && { smallerThanBytes: flags.smallerThan }),
    ...(flags.largerThan !== undefined && { largerThanBytes: flags.largerThan }),
  }
  return {
    to: { model, server },
    from,
    outsideRegion,
    ...(tenants !== undefined && { tenants }),
    ...(limit !== undefined && { limit }),
    ...(concurrency !== undefined && { concurrency }),
  }
}

async function moveAll(io: Io, flags: Flags, plane: ControlPlane, request: BulkRequest): Promise<number | undefined> {
  const { name, reason, maxFailures, operator } = flags
  if (name === undefined || reason === undefined) {
    throw new UsageError('Cannot move tenants without --name and --reason; look first with --dry-run')
  }
  const start = { ...request, name, reason, requestedBy: operatorOf(operator), ...(maxFailures && { maxFailures }) }
  const show = openView(io, flags.json)
  const ended = new AbortController()
  const watching = watch(plane.moves.many, name, ended.signal, show.progress)
  const options = io.signal === undefined ? {} : { signal: io.signal }
  try {
    const record = await asTyped(() => plane.moves.many.start(start, options))
    ended.abort()
    await watching
    show.end()
    printBulk(io, 'moved', record, flags.json)
    return record.state === 'moved' || record.state === 'completed' ? undefined : STOPPED
  } finally {
    ended.abort()
    await watching
    show.end()
  }
}

async function watch(
  many: BulkMoves,
  name: string,
  ended: AbortSignal,
  progress: (record: BulkRecord) => void,
): Promise<void> {
  for (;;) {
    await delay(POLL_MS, undefined, { signal: ended }).catch(() => {})
    if (ended.aborted) return
    const record = await many.find(name).catch(() => undefined)
    // What is wrong with the database is said by the moves themselves.
    if (record !== undefined && !ended.aborted) progress(record)
  }
}

interface View {
  progress(record: BulkRecord): void
  end(): void
}

function openView(io: Io, json: boolean): View {
  if (!isForPeople(io, json)) return { progress: linePrinter(io), end() {} }
  const bar = openProgressBar(io)
  return {
    progress: ({ state, counts, tenants, etaMs }) => {
      const left = etaMs === undefined ? [] : [`about ${durationText(etaMs)} left`]
      const failed = counts.failed === 0 ? [] : [`${counts.failed} failed`]
      const note = [...failed, ...left].join(' · ')
      bar.show({ label: state, done: counts.moved, total: tenants.length, ...(note !== '' && { note }) })
    },
    end: () => bar.end(),
  }
}

/** A line for each change: nobody reads that nothing happened. */
function linePrinter(io: Io): (record: BulkRecord) => void {
  let last = ''
  return ({ name, state, counts, tenants, etaMs }) => {
    const now = JSON.stringify([state, tenants.map((tenant) => tenant.state)])
    if (now === last) return
    last = now
    printJson(io, { event: 'progress', name, state, ...counts, total: tenants.length, etaMs: etaMs ?? null })
  }
}

const UNITS: Readonly<Record<string, number>> = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 }

function parseBytes(text: string): number {
  const [, figure, unit = 'b'] = /^(\d{1,12}(?:\.\d{1,3})?)\s*([kmgt]?b)?$/i.exec(text) ?? []
  const bytes = Math.round(Number(figure) * (UNITS[unit.toLowerCase()] ?? Number.NaN))
  if (Number.isSafeInteger(bytes)) return bytes
  throw new RangeError('wanted a size, e.g. 100MB or 1.5GB')
}

const namePosition = {
  kind: 'tuple',
  parameters: [{ parse: String, brief: 'Name of the bulk move', placeholder: 'name' }],
} as const

const list = buildCommand<ConfigFlags, string[], Context>({
  func: command<ConfigFlags, string[]>(async (io, flags, ...[name]) => {
    await withControlPlane(io, flags, async ({ moves: { many } }) => {
      if (name === undefined) printBulkList(io, await many.list(), flags.json)
      else printBulk(io, 'shown', await many.find(name), flags.json)
    })
  }),
  parameters: {
    flags: configFlags,
    positional: {
      kind: 'array',
      maximum: 1,
      parameter: { parse: String, brief: 'Name of one [default = all]', placeholder: 'name' },
    },
  },
  docs: { brief: 'List bulk moves, or show one: each tenant, what failed and why, time left' },
})

/** Commands that change one bulk move and show it afterwards. */
function change(event: string, brief: string, work: (many: BulkMoves, name: string) => Promise<BulkRecord>) {
  return buildCommand<ConfigFlags, [string], Context>({
    func: command<ConfigFlags, [string]>(async (io, flags, name) => {
      printBulk(io, event, await withControlPlane(io, flags, ({ moves }) => work(moves.many, name)), flags.json)
    }),
    parameters: { flags: configFlags, positional: namePosition },
    docs: { brief },
  })
}

/** Commands that do one thing to each tenant that was switched; those that fail are named and the others go on. */
function each(event: string, brief: string, work: (many: BulkMoves, name: string) => Promise<BulkOutcome>) {
  return buildCommand<ConfigFlags, [string], Context>({
    func: command<ConfigFlags, [string]>(async (io, flags, name) => {
      const outcome = await withControlPlane(io, flags, ({ moves }) => work(moves.many, name))
      printOutcome(io, event, outcome, flags.json)
      return outcome.failed.length === 0 ? undefined : STOPPED
    }),
    parameters: { flags: configFlags, positional: namePosition },
    docs: { brief },
  })
}

/** Commands for many moves at once, as parts of `rowhouse tenant`. */
export const moveManyRoutes = {
  moveMany,
  movesMany: list,
  moveManyPause: change('paused', 'Begin no further tenant, and let those under way wait; they work on', (many, name) =>
    many.pause(name),
  ),
  moveManyResume: change('resumed', 'Let a paused bulk move go on', (many, name) => many.resume(name)),
  moveManyAbort: change(
    'aborted',
    'End a bulk move: what was switched stays, everybody else stays where they are',
    (many, name) => many.abort(name),
  ),
  moveManyComplete: each(
    'completed',
    'Remove the old homes of all that were switched; there is no way back then',
    (many, name) => many.complete(name),
  ),
  moveManyRevert: each('reverted', 'Bring all back that were switched, with what they wrote since', (many, name) =>
    many.revert(name),
  ),
} as const
