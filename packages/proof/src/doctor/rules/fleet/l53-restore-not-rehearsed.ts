import type { Rule } from '../../rule.ts'

export const restoreNotRehearsed: Rule = {
  id: 'L53',
  name: 'restore-not-rehearsed',
  severity: 'warning',
  title: 'Backup that was not restored in a rehearsal for too long',
  why: 'A backup that was never restored is a hope. A tenant that loses its data finds out together with the operator whether it works, and how long it takes.',
  remedy:
    'Rehearse the restore of one tenant into a database of its own, and let the rehearsal write down how long it took.',
  applies: 'later',
  sql: '',
  fixtures: { fires: [], quiet: [] },
}
