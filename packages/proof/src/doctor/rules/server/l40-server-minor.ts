import { type Rule, SURVEYED } from '../../rule.ts'
import { OLDEST_SAFE, versionRows } from './server-versions.ts'

export const serverMinor: Rule = {
  id: 'L40',
  name: 'server-minor',
  severity: 'error',
  title: 'PostgreSQL with known holes',
  why: 'Minor releases close holes in what keeps tenants apart: policies that were not applied below a sub-query, statistics that gave away rows, functions that ran code of others. What is written down about a hole is read by those who look for servers that still have it.',
  remedy: 'Update to the newest minor release. It takes a restart and changes no data.',
  applies: 'any',
  sql: `with ${SURVEYED}, oldest (major, minor) as (values ${versionRows(OLDEST_SAFE)}),
    running as (select (s->>'server')::int / 10000 as major, (s->>'server')::int % 10000 as minor from surveyed)
    select 'server' as object, format('PostgreSQL %s.%s has known holes: wanted at least %s.%s', r.major, r.minor, o.major, o.minor) as message, null as mend
      from running r join oldest o on o.major = r.major and r.minor < o.minor`,
  fixtures: {
    fires: ['select 1'],
    quiet: ['select 1'],
    survey: { fires: { server: 180_003 }, quiet: { server: 180_004 } },
  },
}
