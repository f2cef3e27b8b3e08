import { type Rule, SURVEYED } from '../../rule.ts'
import { NEWEST_KNOWN, versionRows } from './server-versions.ts'

export const newerMinor: Rule = {
  id: 'L56',
  name: 'newer-minor',
  severity: 'note',
  title: 'PostgreSQL behind its newest minor release',
  why: 'The release that runs has no hole this version of the doctor knows to lie between tenants. The newest one mends others, in replication, extensions and clients, and each release that is skipped makes the next update larger.',
  remedy: 'Update to the newest minor release. It takes a restart and changes no data.',
  applies: 'any',
  sql: `with ${SURVEYED}, newest (major, minor) as (values ${versionRows(NEWEST_KNOWN)}),
    running as (select (s->>'server')::int / 10000 as major, (s->>'server')::int % 10000 as minor from surveyed)
    select 'server' as object, format('PostgreSQL %s.%s is behind %s.%s', r.major, r.minor, n.major, n.minor) as message, null as mend
      from running r join newest n on n.major = r.major and r.minor < n.minor`,
  fixtures: {
    fires: ['select 1'],
    quiet: ['select 1'],
    survey: { fires: { server: 170_010 }, quiet: { server: 170_011 } },
  },
}
