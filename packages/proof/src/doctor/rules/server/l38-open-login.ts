import { type Rule, SURVEYED } from '../../rule.ts'
import { HBA, hbaLine, SERVER_SETTING } from './server-facts.ts'

export const openLogin: Rule = {
  id: 'L38',
  name: 'open-login',
  severity: 'error',
  title: 'Login without a secret, or from anywhere without TLS',
  why: 'With `trust`, whoever reaches the server is whom they say they are, the superuser included, and no wall inside the database matters any more. A line that lets every address in without asking for TLS carries sessions, seals and rows of tenants over the network in clear text.',
  remedy:
    'Ask for scram-sha-256 or a certificate, name the addresses the application has, and use `hostssl`. Then `select pg_reload_conf()`.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${HBA}, ${SERVER_SETTING}
    select h.place as object, format('%s of pg_hba lets %s in as %s without a secret', h.place,
             case h.type when 'local' then 'everybody on the machine' else coalesce(h.address, 'everybody') end, case h.users when 'all' then 'any role' else h.users end) as message, null as mend
      from hba h where h.method = 'trust'
    union all
    select h.place, format('%s of pg_hba lets every address in without TLS', h.place), null
      from hba h
     where h.type in ('host', 'hostnossl') and (h.address = 'all' or h.netmask in ('0.0.0.0', '::')) and h.method not in ('reject', 'trust')
       -- Nobody but this machine gets as far as the line.
       and exists (select from server_setting s, string_to_table(s.value, ',') a
                    where s.name = 'listen_addresses' and btrim(a) not in ('', 'localhost', '127.0.0.1', '::1'))`,
  fixtures: {
    fires: ['select 1'],
    quiet: ['select 1'],
    survey: {
      fires: { hba: [hbaLine('host', '10.0.0.0', '255.0.0.0', 'trust')] },
      quiet: {
        hba: [
          hbaLine('local', null, null, 'peer'),
          hbaLine('host', '127.0.0.1', '255.255.255.255', 'scram-sha-256'),
          hbaLine('hostssl', '0.0.0.0', '0.0.0.0', 'scram-sha-256'),
          { ...hbaLine('host', '0.0.0.0', '0.0.0.0', 'trust'), database: ['somewhere_else'] },
          { ...hbaLine('host', '0.0.0.0', '0.0.0.0', 'trust'), error: 'invalid authentication method' },
        ],
        settings: { listen_addresses: '*' },
      },
    },
  },
}
