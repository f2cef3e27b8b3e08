import { type Rule, SURVEYED } from '../../rule.ts'
import { roleSetting } from './server-facts.ts'

const TIMEOUTS = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout']

export const noTimeouts: Rule = {
  id: 'L41',
  name: 'no-timeouts',
  severity: 'warning',
  title: 'Login of the application without time limits',
  why: 'A statement or transaction without limit holds its locks and its snapshot for as long as it likes: one tenant with a heavy report stops the others and keeps dead rows from being cleaned up. Rowhouse sends limits with each of its own connections; whatever else uses the login, a script or a console, has none.',
  remedy:
    'Give the role limits of its own, longer than those of the application. A statement timeout covers a transaction only from PostgreSQL 17 on, as `transaction_timeout`.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${roleSetting(TIMEOUTS)}
    select format('role %I', r.role) as object,
           format('role %I has no %s of its own, and the server gives it none', r.role, string_agg(r.name, ', ' order by r.name)) as message,
           string_agg(format('alter role %I set %s = %L;', r.role, r.name, case r.name when 'lock_timeout' then '10s' when 'transaction_timeout' then '5min' else '1min' end), ' ' order by r.name) as mend
      from role_setting r where r.value ~ '^0[^1-9]*$'
     group by r.role`,
  fixtures: {
    fires: ['select 1', `alter role rowhouse_app set statement_timeout = '30s'`],
    quiet: [
      `alter role rowhouse_app set statement_timeout = '30s';
alter role rowhouse_app set lock_timeout = '5s';
alter role rowhouse_app set idle_in_transaction_session_timeout = '30s';
do $$ begin
  if current_setting('transaction_timeout', true) is not null then alter role rowhouse_app set transaction_timeout = '5min'; end if;
end $$`,
    ],
  },
}
