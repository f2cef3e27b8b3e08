import { type Rule, SURVEYED } from '../../rule.ts'
import { FIRST_TENANT, settle } from './placed.ts'

/** A month: long enough for who rehearses every week to miss one, too short for anybody to forget how. */
const MAX_DAYS = 30

const ARTEFACT = `${FIRST_TENANT}/20260704T021500Z-5b1e0c77`

/** SQL of a fixture: an entry of so many days ago. */
function event(kind: 'backup' | 'drill', days: number, fault?: string): string {
  const outcome = fault === undefined ? "'good', 3, null" : `'failed', null, '${fault}'`
  return `insert into rowhouse.backup_event (tenant_id, kind, at, artefact, outcome, rows, fault)
values ('${FIRST_TENANT}', '${kind}', now() - interval '${days} days', '${ARTEFACT}', ${outcome})`
}

export const restoreNotRehearsed: Rule = {
  id: 'L53',
  name: 'restore-not-rehearsed',
  severity: 'warning',
  title: 'Backup that was not restored in a rehearsal for too long',
  why: `A backup that was never restored is a hope. A tenant that loses its data finds out together with the operator whether it works, and how long it takes. Asked where backups are written down: no rehearsal of any tenant has passed for ${MAX_DAYS} days, or the last one of a tenant failed.`,
  remedy:
    'Rehearse a restore with "rowhouse backup drill", or let "rowhouse backup run" do so on a timer. After a rehearsal that failed: make a new backup, and rehearse that.',
  applies: 'installed',
  sinceSchema: 8,
  sql: `with ${SURVEYED}, kept as (
      select e.*, t.slug from rowhouse.backup_event e join rowhouse.tenant t on t.id = e.tenant_id
       where t.state in ('active', 'suspended')
    ), last_passed as (
      select min(k.at) filter (where k.kind = 'backup') as first_backup, max(k.at) filter (where k.kind = 'drill' and k.outcome = 'good') as passed
        from kept k
    ), last_drill as (
      select distinct on (k.tenant_id) k.* from kept k where k.kind = 'drill' order by k.tenant_id, k.id desc
    )
    select 'backups' as object,
           case when l.passed is null then 'no restore has ever been rehearsed'
                else format('the last rehearsal of a restore that passed is %s days ago', extract(day from now() - l.passed)) end as message,
           null as mend
      from last_passed l where coalesce(l.passed, l.first_backup) < now() - interval '${MAX_DAYS} days'
    union all
    select format('tenant %s', d.slug), format('the last rehearsal of tenant %s failed with %s, on %s', d.slug, d.fault, d.artefact), null
      from last_drill d where d.outcome = 'failed'`,
  fixtures: {
    fires: [
      `${settle()};\n${event('backup', MAX_DAYS + 1)}`,
      `${settle()};\n${event('backup', 1)};\n${event('drill', MAX_DAYS + 1)}`,
      // Often tried, never passed.
      `${settle()};\n${event('backup', MAX_DAYS + 1)};\n${event('drill', 1, 'ERR_DATABASE_UNAVAILABLE')}`,
      // It worked once, and does not any more.
      `${settle()};\n${event('drill', 2)};\n${event('drill', 1, 'ERR_ARTEFACT_DAMAGED')}`,
    ],
    quiet: [
      'select 1',
      // Nobody keeps backups here.
      settle(),
      // The first backup is young.
      `${settle()};\n${event('backup', 1)}`,
      `${settle()};\n${event('backup', MAX_DAYS + 1)};\n${event('drill', 1)}`,
      // Mended since.
      `${settle()};\n${event('drill', 2, 'ERR_ARTEFACT_DAMAGED')};\n${event('drill', 1)}`,
      // Who has left is restored no more.
      `${settle()};\nupdate rowhouse.tenant set state = 'offboarding' where id = '${FIRST_TENANT}';\n${event('backup', MAX_DAYS + 1)};\n${event('drill', 1, 'ERR_ARTEFACT_DAMAGED')}`,
    ],
  },
}
