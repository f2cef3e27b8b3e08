import type { MoveHome, MovePlan, MoveRecord } from 'rowhouse-server'
import type { Io } from '../command.ts'
import { printJson, printRows } from '../print.ts'
import { countText, durationText, isForPeople, toned } from '../terminal.ts'

const COLUMNS = ['id', 'tenant', 'state', 'from', 'to', 'rows', 'pause', 'started', 'by', 'reason']

/** Prints what a move would do, step by step. */
export function printPlan(io: Io, plan: MovePlan, json: boolean): void {
  if (json) {
    printJson(io, { event: 'plan', ...plan })
    return
  }
  const { slug, source, target, tables, steps, regions, warnings } = plan
  io.stdout.write(`${toned(io, io.stdout, 'bold', slug)}: ${endText(source)} to ${endText(target)}\n`)
  io.stdout.write(`region: ${regions.from} to ${regions.to}\n`)
  for (const warning of warnings) io.stdout.write(`${toned(io, io.stdout, 'bad', `warning: ${warning}`)}\n`)
  io.stdout.write('\n')
  printRows(
    io,
    // Of shared tables nobody knows how many bytes are one tenant's.
    tables.map(({ name, rows, bytes }) => ({ table: name, rows, ...(bytes > 0 && { size: byteText(bytes) }) })),
    tables.some(({ bytes }) => bytes > 0) ? ['table', 'rows', 'size'] : ['table', 'rows'],
  )
  io.stdout.write('\n')
  for (const [n, step] of steps.entries()) io.stdout.write(` ${n + 1}. ${step}\n`)
  io.stderr.write('Nothing was changed: this was a dry run\n')
}

/** Prints moves, newest first. */
export function printMoves(io: Io, moves: readonly MoveRecord[], json: boolean): void {
  if (json) printJson(io, moves)
  else printRows(io, moves.map(toRow), COLUMNS)
}

/** Prints one move: where the tenant is now, and what can be done next. */
export function printMove(io: Io, event: string, move: MoveRecord, json: boolean): void {
  if (!isForPeople(io, json)) {
    printJson(io, { event, move })
    return
  }
  const { slug, state, source, target, progress, id, error } = move
  const wish = move.wish === undefined ? '' : `, told to ${move.wish}`
  io.stdout.write(
    `${toned(io, io.stdout, 'bold', slug)}: ${state}${wish}, ${endText(source)} to ${endText(target)}${factsText(progress)}\n`,
  )
  if (error !== undefined) io.stdout.write(`${toned(io, io.stdout, 'bad', error)}\n`)
  if (move.outsideRegion) io.stdout.write('It left the region its data may not leave; that is written down\n')
  if (state === 'switched') {
    const next = `The old home is kept, closed. "rowhouse tenant move-complete ${id}" removes it, "rowhouse tenant move-revert ${id}" goes back`
    io.stdout.write(`${toned(io, io.stdout, 'dim', next)}\n`)
  }
}

function factsText({ verified, pauseMs }: MoveRecord['progress']): string {
  const facts = [
    ...(verified === undefined ? [] : [`${countText(verified.rows)} rows in ${verified.tables} tables compared`]),
    ...(pauseMs === undefined ? [] : [`shut out for ${durationText(pauseMs)}`]),
  ]
  return facts.length === 0 ? '' : `; ${facts.join(', ')}`
}

function toRow(move: MoveRecord) {
  const { id, slug, state, wish, source, target, progress, startedAt, requestedBy, reason } = move
  return {
    id,
    tenant: slug,
    state: wish === undefined ? state : `${state} (${wish})`,
    from: endText(source),
    to: endText(target),
    rows: progress.verified?.rows ?? progress.copiedRows ?? 0,
    pause: progress.pauseMs === undefined ? '' : durationText(progress.pauseMs),
    started: startedAt,
    by: requestedBy,
    reason,
  }
}

export function endText({ model, server }: Pick<MoveHome, 'model' | 'server'>): string {
  return `${model} on ${server}`
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** Writes a number of bytes for people, e.g. `12.3 MB`. */
export function byteText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1_000 && unit < UNITS.length - 1) {
    value /= 1_000
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`
}
