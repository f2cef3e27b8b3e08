import type { Rule } from '../../rule.ts'

export const moveCapacity: Rule = {
  id: 'L43',
  name: 'move-capacity',
  severity: 'warning',
  title: 'Server that cannot take part in a move',
  why: 'A tenant moves by logical replication. Without `wal_level = logical`, or with every slot and sender taken, a move cannot begin, and a tenant that is too large for its server has nowhere to go. Changing it takes a restart, which is best planned before it is needed.',
  remedy: 'Set `wal_level = logical` and leave room in `max_replication_slots` and `max_wal_senders`.',
  applies: 'later',
  sql: '',
  fixtures: { fires: [], quiet: [] },
}
