import type { Rule } from '../../rule.ts'

export const oldKey: Rule = {
  id: 'L49',
  name: 'old-key',
  severity: 'warning',
  title: 'Key of a tenant that was not rotated in time',
  why: 'Who once copied the key of a tenant makes seals for it until the key is replaced. Rotation puts an end to what leaked without anybody noticing.',
  remedy: 'Rotate the key: seals of the old one are accepted until the last process has the new one.',
  applies: 'later',
  sql: '',
  fixtures: { fires: [], quiet: [] },
}
