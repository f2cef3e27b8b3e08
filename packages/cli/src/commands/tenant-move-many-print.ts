import type { BulkOutcome, BulkPlan, BulkRecord, TenantCosts } from 'rowhouse-server'
import type { Io } from '../command.ts'
import { printJson, printRows } from '../print.ts'
import { countText, durationText, isForPeople, toned } from '../terminal.ts'
import { byteText, endText } from './tenant-move-print.ts'

/** Prints what a bulk move would do, what each tenant costs before and after, and where the figures come from. */
export function printBulkPlan(io: Io, plan: BulkPlan, json: boolean): void {
  if (json) {
    printJson(io, { event: 'plan', ...plan })
    return
  }
  const out = (text: string) => io.stdout.write(`${text}\n`)
  out(toned(io, io.stdout, 'bold', `${plan.tenants.length} tenants to ${endText(plan.target)}`))
  out('')
  printRows(io, plan.tenants.map(toRow), [
    'tenant',
    'from',
    'region',
    'rows',
    'disk',
    'disk then',
    'connections',
    'time',
  ])
  out('')
  printRows(io, totals(plan), ['together', 'before', 'after'])
  out('')
  out(
    '= said by the servers now; ~ estimated: rows where they are, and what a tenant without rows was measured to cost',
  )
  const { disk, of } = share(plan)
  out(`${disk} % of ${of} are left on disk, once the old homes are removed`)
  out(`About ${durationText(plan.durationMs)}, ${plan.concurrency} at one time after the first: ${plan.durationWhy}`)
  for (const { slug, warnings } of plan.tenants)
    for (const warning of warnings) out(toned(io, io.stdout, 'bad', `warning: ${slug}: ${warning}`))
  for (const { slug, reason } of plan.leftOut) out(toned(io, io.stdout, 'bad', `left out: ${slug}: ${reason}`))
  io.stderr.write('Nothing was changed: this was a dry run\n')
}

function toRow({ slug, source, regions, rows, before, after, measured, durationMs }: BulkPlan['tenants'][number]) {
  return {
    tenant: slug,
    from: endText(source),
    region: regions.from === regions.to ? regions.from : `${regions.from} to ${regions.to}`,
    rows,
    disk: `${measured.includes('diskBytes') ? '=' : '~'}${byteText(before.diskBytes)}`,
    'disk then': `~${byteText(after.diskBytes)}`,
    connections: `${measured.includes('connections') ? '=' : '~'}${before.connections} to ~${after.connections}`,
    time: `~${durationText(durationMs)}`,
  }
}

const FIGURES: readonly (readonly [keyof TenantCosts, string, (figure: number) => string])[] = [
  ['diskBytes', 'disk', byteText],
  ['connections', 'connections of their own', countText],
  ['backendBytes', 'memory of those connections', byteText],
  ['cacheBytes', 'memory for tables in shared connections', byteText],
  ['bufferBytes', 'shared buffers for catalogs', byteText],
  ['relations', 'tables and indexes in catalogs', countText],
  ['catalogRows', 'rows of catalogs', countText],
]

function totals({ tenants, before, after }: BulkPlan) {
  return FIGURES.map(([figure, together, text]) => {
    const measured = tenants.length > 0 && tenants.every((tenant) => tenant.measured.includes(figure))
    const mark = measured ? '=' : '~'
    return { together, before: `${mark}${text(before[figure])}`, after: `~${text(after[figure])}` }
  })
}

function share({ before, after }: BulkPlan): { disk: number; of: string } {
  return { disk: Math.round((after.diskBytes / Math.max(1, before.diskBytes)) * 100), of: byteText(before.diskBytes) }
}

/** Prints bulk moves, newest first. */
export function printBulkList(io: Io, records: readonly BulkRecord[], json: boolean): void {
  if (json) {
    printJson(io, records)
    return
  }
  const rows = records.map(({ name, state, target, tenants, counts, startedAt, requestedBy, reason }) => ({
    name,
    state,
    to: endText(target),
    tenants: tenants.length,
    moved: counts.moved,
    failed: counts.failed,
    started: startedAt,
    by: requestedBy,
    reason,
  }))
  printRows(io, rows, ['name', 'state', 'to', 'tenants', 'moved', 'failed', 'started', 'by', 'reason'])
}

/** Prints one bulk move: how far each tenant is, and what can be done next. */
export function printBulk(io: Io, event: string, record: BulkRecord, json: boolean): void {
  if (!isForPeople(io, json)) {
    printJson(io, { event, record })
    return
  }
  const { name, state, target, tenants, counts, etaMs, leftOut } = record
  const eta = etaMs === undefined ? '' : `, about ${durationText(etaMs)} left`
  const facts = `${counts.moved} of ${tenants.length} moved to ${endText(target)}, ${counts.failed} failed${eta}`
  io.stdout.write(`${toned(io, io.stdout, 'bold', name)}: ${state}; ${facts}\n`)
  const rows = tenants.map((tenant) => ({
    tenant: tenant.slug,
    state: tenant.state,
    size: byteText(tenant.bytes),
    took: tenant.durationMs === undefined ? '' : durationText(tenant.durationMs),
    error: tenant.error ?? '',
  }))
  printRows(io, rows, ['tenant', 'state', 'size', 'took', 'error'])
  for (const { slug, reason } of leftOut) io.stdout.write(toned(io, io.stdout, 'bad', `left out: ${slug}: ${reason}\n`))
  const next = nextText(record)
  if (next !== '') io.stdout.write(`${toned(io, io.stdout, 'dim', next)}\n`)
}

function nextText({ name, state }: BulkRecord): string {
  if (state === 'stopped')
    return 'Mend what failed, then give the same command again: it goes on with those that are left'
  if (state === 'paused') return `"rowhouse tenant move-many-resume ${name}" lets it go on`
  if (state !== 'moved') return ''
  return `The old homes are kept, closed. "rowhouse tenant move-many-complete ${name}" removes them, "rowhouse tenant move-many-revert ${name}" goes back`
}

/** Prints what was done to which tenants, and why not to others. */
export function printOutcome(io: Io, event: string, { record, done, failed }: BulkOutcome, json: boolean): void {
  if (!isForPeople(io, json)) {
    printJson(io, { event, record, done, failed })
    return
  }
  io.stdout.write(`${toned(io, io.stdout, 'bold', record.name)}: ${record.state}; ${done.length} tenants ${event}\n`)
  for (const { slug, code, reason } of failed)
    io.stdout.write(toned(io, io.stdout, 'bad', `${slug}: ${code === undefined ? '' : `${code}: `}${reason}\n`))
}
