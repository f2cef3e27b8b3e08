import { type Rule, SURVEYED } from '../../rule.ts'
import { SERVER_SETTING, SLOT } from './server-facts.ts'

const SLOT_OF_A_REPLICA = { slot_name: 'replica_1', slot_type: 'physical', database: null }

export const unboundedSlots: Rule = {
  id: 'L42',
  name: 'unbounded-slots',
  severity: 'warning',
  title: 'Replication slot that may fill the disk',
  why: 'A slot keeps the log until its reader has it. When the reader stays away, the log grows until the disk is full, and then no tenant can write.',
  remedy:
    'Set `max_slot_wal_keep_size` to what the disk can spare: a reader that is further behind has to begin again, and everybody else goes on.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${SERVER_SETTING}, ${SLOT}
    select 'server' as object,
           format('replication slots (%s) may keep any amount of log: max_slot_wal_keep_size is not set', string_agg(l.name, ', ' order by l.name)) as message,
           'alter system set max_slot_wal_keep_size = ''20GB''; select pg_reload_conf();' as mend
      from slot l, server_setting s
     where s.name = 'max_slot_wal_keep_size' and s.value = '-1'
    having count(*) > 0`,
  fixtures: {
    fires: ['select 1'],
    quiet: ['select 1'],
    survey: {
      fires: { slots: [SLOT_OF_A_REPLICA] },
      quiet: { slots: [SLOT_OF_A_REPLICA], settings: { max_slot_wal_keep_size: '20480' } },
    },
  },
}
