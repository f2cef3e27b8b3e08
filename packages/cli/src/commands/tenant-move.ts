import { hostname, userInfo } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { buildCommand } from '@stricli/core'
import type { ControlPlane, Model, MoveRecord, MoveRequest } from 'rowhouse-server'
import { asTyped, type Context, command, type Io } from '../command.ts'
import { type ConfigFlags, configFlags, operatorFlag, withControlPlane } from '../control-plane.ts'
import { printJson } from '../print.ts'
import { openProgressBar } from '../progress-bar.ts'
import { durationText, isForPeople } from '../terminal.ts'
import { byteText, printMove, printPlan } from './tenant-move-print.ts'

interface Flags extends ConfigFlags {
  readonly to: Model
  readonly server: string
  readonly reason: string
  readonly operator?: string
  readonly dryRun: boolean
  readonly complete: boolean
  readonly outsideRegion: boolean
}

/** Lets a move break what was promised of a tenant; who and why is written down. */
export const outsideRegionFlag = {
  kind: 'boolean',
  default: false,
  withNegated: false,
  brief: 'Let it leave the region its data may not leave; written down with --operator and --reason',
} as const

const POLL_MS = 500

export const moveCommand = buildCommand<Flags, [string], Context>({
  func: command<Flags, [string]>(async (io, flags, tenant) => {
    const request = toRequest(tenant, flags)
    await withControlPlane(io, flags, async (plane) => {
      if (flags.dryRun) {
        printPlan(io, await plane.moves.plan(request), flags.json)
        return
      }
      const moved = await moveInSight(io, flags, plane, request)
      printMove(io, 'moved', flags.complete ? await plane.moves.complete(moved.id) : moved, flags.json)
    })
  }),
  parameters: {
    flags: {
      ...configFlags,
      to: { kind: 'enum', values: ['pooled', 'schema', 'database'], brief: 'How it shall live' },
      server: { kind: 'parsed', parse: String, brief: 'Where it shall live', placeholder: 'name' },
      reason: { kind: 'parsed', parse: parseReason, brief: 'Why, for the record', placeholder: 'text' },
      operator: operatorFlag,
      dryRun: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Check everything and print every step; change nothing',
      },
      complete: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Remove the old home right after the switch: there is no way back then',
      },
      outsideRegion: outsideRegionFlag,
    },
    positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'Slug or id', placeholder: 'tenant' }] },
  },
  docs: {
    brief: 'Move a tenant to another model or server while it works',
    fullDescription: [
      'Copies, catches up, compares every row, shuts the tenant out for the last rows, and switches. The old home is kept, closed, until',
      'move-complete; until then move-revert goes back. Killed in between, the next command goes on. Ctrl-C aborts before the cut. On a',
      'terminal a bar shows rows, rate and lag; elsewhere, and with --json, progress is JSON lines and the last line is the move.',
    ].join('\n'),
  },
})

function toRequest(tenant: string, { to: model, server, reason, operator, outsideRegion }: Flags): MoveRequest {
  return {
    tenant,
    to: { model, server },
    reason,
    requestedBy: operatorOf(operator),
    outsideRegion,
  }
}

export function operatorOf(operator: string | undefined): string {
  return operator ?? `${userInfo().username}@${hostname()}`
}

export function parseReason(text: string): string {
  const { length } = text.trim()
  if (length >= 3 && text.length <= 1_000) return text
  throw new RangeError('wanted a reason of 3 to 1,000 characters')
}

/** Moves the tenant and shows how far it is until that ended. */
async function moveInSight(io: Io, flags: Flags, plane: ControlPlane, request: MoveRequest): Promise<MoveRecord> {
  const show = await openView(io, flags, plane, request)
  const ended = new AbortController()
  const watching = watch(io, plane, request.tenant, ended.signal, show.progress)
  try {
    return await asTyped(() => plane.moves.start(request))
  } finally {
    ended.abort()
    await watching
    show.end()
  }
}

async function watch(
  { signal: interrupted }: Io,
  plane: ControlPlane,
  tenant: string,
  ended: AbortSignal,
  progress: (move: MoveRecord) => void,
): Promise<void> {
  let aborting = false
  for (;;) {
    await delay(POLL_MS, undefined, { signal: ended }).catch(() => {})
    if (ended.aborted) return
    try {
      const move = (await plane.moves.list(tenant)).find(isUnderWay)
      if (move === undefined || ended.aborted) continue
      progress(move)
      if (interrupted?.aborted !== true || aborting) continue
      await plane.moves.abort(move.id)
      aborting = true
    } catch {
      // What is wrong with the database is said by the move itself, and behind the cut nothing can be aborted.
    }
  }
}

const OVER: readonly MoveRecord['state'][] = ['switched', 'completing', 'completed', 'aborted', 'reverting', 'reverted']

/** Moves before this one are over or switched. */
function isUnderWay({ state }: MoveRecord): boolean {
  return !OVER.includes(state)
}

interface View {
  progress(move: MoveRecord): void
  end(): void
}

async function openView(io: Io, { json }: Flags, plane: ControlPlane, request: MoveRequest): Promise<View> {
  if (!isForPeople(io, json)) return { progress: linePrinter(io), end() {} }
  const { tables } = await plane.moves.plan(request)
  const total = tables.reduce((sum, { rows }) => sum + rows, 0)
  const bar = openProgressBar(io)
  const began = performance.now()
  return {
    progress: ({ state, wish, progress: { copiedRows = 0, copiedBytes = 0, lag } }) => {
      const said = [byteText(copiedBytes), ...(lag === undefined ? [] : [`lag ${lag}`])]
      const note = [...said, durationText(performance.now() - began)].join(' · ')
      // Rows written since the tenant was counted are copied as well.
      const done = state === 'copying' || state === 'planned' || state === 'preparing' ? copiedRows : total
      bar.show({ label: wish === 'pause' ? 'paused' : state, done: Math.min(done, total), total, note })
    },
    end: () => bar.end(),
  }
}

/** A line for each change: nobody reads that nothing happened. */
function linePrinter(io: Io): (move: MoveRecord) => void {
  const began = performance.now()
  let last = ''
  return ({ id, slug, state, wish, progress }) => {
    const { copiedRows: rows = 0, copiedBytes: bytes = 0, lag } = progress
    const now = { id, tenant: slug, state, ...(wish && { wish }), rows, bytes, ...(lag !== undefined && { lag }) }
    if (JSON.stringify(now) === last) return
    last = JSON.stringify(now)
    const elapsedMs = Math.round(performance.now() - began)
    const rowsPerSecond = Math.round((rows * 1_000) / Math.max(1, elapsedMs))
    printJson(io, { event: 'progress', ...now, rowsPerSecond, elapsedMs })
  }
}
