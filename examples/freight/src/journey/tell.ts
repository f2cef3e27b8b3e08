/** What happens on the journey, for people. */

import type { RehearsalEvent, RehearsalReport, RehearsedMove, RehearsedRestore } from 'rowhouse-server/testing'

type Say = (line: string) => void

/** Tells a part that is over. */
export function tell(event: RehearsalEvent, say: Say): void {
  if (event.kind === 'filled')
    say(`Two companies, each with ${event.rows} rows; digest of the neighbour ${event.neighbour}`)
  if (event.kind === 'moved') tellMove(event.move, say)
  if (event.kind === 'compared') {
    say(
      `Somebody deletes ${event.deleted} rows of the company from the shared tables. Compared with its backup, nothing written yet:`,
    )
    for (const { table, same, missing, extra, changed } of event.diff.filter((diff) => diff.same + diff.missing > 0))
      say(`  ${table.padEnd(9)} ${missing} missing, ${same} the same, ${changed} changed, ${extra} extra`)
  }
  if (event.kind === 'restored') tellRestore(event.restore, say)
}

function tellMove(
  { from, to, ended, pausesMs, acknowledged, ms, changedTables, message }: RehearsedMove,
  say: Say,
): void {
  const way = `${from.model} on ${from.server} to ${to.model} on ${to.server}`
  const out = pausesMs.length === 0 ? '' : `; shut out for ${pausesMs.map((pause) => `${pause} ms`).join(' and ')}`
  const why = ended === 'refused' ? `: ${message}` : ''
  const changed = changedTables.length === 0 ? '' : `; CHANGED ${changedTables.join(', ')}`
  say(
    `${way}: ${ended} in ${(ms / 1_000).toFixed(1)} s, ${acknowledged} bookings acknowledged meanwhile${out}${changed}${why}`,
  )
}

function tellRestore({ inserted, changedTables, message }: RehearsedRestore, say: Say): void {
  if (message !== undefined) say(`Not brought back: ${message}`)
  else
    say(
      `${inserted} rows brought back; ${changedTables.length === 0 ? 'every row as it was' : `CHANGED ${changedTables.join(', ')}`}`,
    )
}

/** Tells how it ended. */
export function tellEnd(report: RehearsalReport, say: Say): void {
  const { writes, acknowledged, lost, doubled, foreign, refused, pauseMs, neighbour, control } = report
  const codes = Object.entries(refused).map(([code, count]) => `${count} ${code}`)
  say('')
  say(
    `bookings    ${writes} tried, ${acknowledged} acknowledged, ${codes.length === 0 ? 'none' : codes.join(', ')} refused`,
  )
  say(`checked     lost ${lost}, doubled ${doubled}, foreign ${foreign}`)
  say(`shut out    p50 ${pauseMs.p50} ms, p99 ${pauseMs.p99} ms, longest ${pauseMs.max} ms`)
  say(`neighbour   ${neighbour.before} before, ${neighbour.after} after`)
  say(`the checker noticed ${control.lost} rows deleted on purpose, and ${control.foreign} of the neighbour`)
  for (const fault of report.faults) say(`WRONG       ${fault}`)
  say(
    `${report.ok ? 'Nothing is wrong' : `${report.faults.length} things are wrong`}, ${(report.ms / 1_000).toFixed(0)} s`,
  )
}
