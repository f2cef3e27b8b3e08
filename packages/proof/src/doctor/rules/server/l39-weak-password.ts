import { type Rule, SURVEYED } from '../../rule.ts'
import { HBA, hbaLine, SERVER_SETTING } from './server-facts.ts'

export const weakPassword: Rule = {
  id: 'L39',
  name: 'weak-password',
  severity: 'warning',
  title: 'Password that is not kept or asked for as SCRAM',
  why: 'An MD5 verifier read from a backup or from the catalog logs in without the password, and `password` sends it in clear text. With the login of the application somebody reaches every tenant whose seal can be made or taken.',
  remedy:
    'Set `password_encryption = scram-sha-256`, set the passwords anew, then ask for `scram-sha-256` in pg_hba.conf.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${HBA}, ${SERVER_SETTING}
    select h.place as object, format('%s of pg_hba asks for a password by the method %s', h.place, h.method) as message, null as mend
      from hba h where h.method in ('md5', 'password')
    union all
    select 'server', format('new passwords are kept as %s', s.value), 'alter system set password_encryption = ''scram-sha-256'';'
      from server_setting s where s.name = 'password_encryption' and s.value <> 'scram-sha-256'
    union all
    select format('role %I', a.name), format('the password of role %I is kept as MD5', a.name), null
      from app_role a join pg_authid p on p.oid = a.oid where p.rolpassword ~ '^md5'`,
  fixtures: {
    fires: [`set local password_encryption = 'md5'; alter role rowhouse_app password 'changed in a fixture'`],
    quiet: [`alter role rowhouse_app password 'changed in a fixture'`, 'alter role rowhouse_app password null'],
    survey: {
      quiet: { hba: [hbaLine('hostssl', '0.0.0.0', '0.0.0.0', 'scram-sha-256'), hbaLine('local', null, null, 'peer')] },
    },
  },
}
