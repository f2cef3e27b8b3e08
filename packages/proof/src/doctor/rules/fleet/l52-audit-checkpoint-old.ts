import type { Rule } from '../../rule.ts'

export const auditCheckpointOld: Rule = {
  id: 'L52',
  name: 'audit-checkpoint-old',
  severity: 'error',
  title: 'Audit log without a recent checkpoint',
  why: 'A checkpoint outside of the database is what shows that nobody has rewritten the log. What was written since the last one can be changed without a trace.',
  remedy: 'Find out why checkpoints stopped, write one, and compare it with the copy that was kept elsewhere.',
  applies: 'later',
  sql: '',
  fixtures: { fires: [], quiet: [] },
}
