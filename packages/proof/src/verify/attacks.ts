import type { Attack, LaterSurface, Residual } from './attack.ts'
import { aroundAttacks } from './attacks/around.ts'
import { contextAttacks } from './attacks/context.ts'
import { forgeryAttacks } from './attacks/forgeries.ts'
import { oracleAttacks } from './attacks/oracles.ts'
import { placementAttacks } from './attacks/placements.ts'
import { readingAttacks } from './attacks/reading.ts'
import { unitAttacks } from './attacks/units.ts'
import { webAttacks } from './attacks/web.ts'
import { writingAttacks } from './attacks/writing.ts'
import type { Pair } from './placing.ts'
import type { WeaknessId } from './weaknesses.ts'

/** Every attack on tenants that share tables. A new surface brings its own file and its own line here. */
export const ATTACKS: readonly Attack[] = [
  ...readingAttacks,
  ...writingAttacks,
  ...aroundAttacks,
  ...forgeryAttacks,
  ...contextAttacks,
  ...oracleAttacks,
  ...unitAttacks,
  ...webAttacks,
]

/** What differs with the way the two live: the rest is the same walls, which were attacked where both live alike. */
const BETWEEN_MODELS: ReadonlySet<WeaknessId> = new Set(['open', 'unsigned'])

/** Returns the attacks that are run on two tenants. Where they live otherwise, those about one of them alone are left out. */
export function attacksOn({ attacker, victim }: Pair): readonly Attack[] {
  if (attacker === 'pooled' && victim === 'pooled') return ATTACKS
  const all = [...ATTACKS, ...placementAttacks]
  if (attacker === victim) return all
  return all.filter(({ place = 'victim', weakness }) => place === 'victim' && BETWEEN_MODELS.has(weakness))
}

/** What PostgreSQL tells everybody who is connected. Not refused, not counted as refused; SECURITY.md repeats this list. */
export const RESIDUALS: readonly Residual[] = [
  {
    id: 'ROL-07',
    title: 'Names in the catalog',
    what: 'Every login reads names of schemas, tables, columns, functions and roles, those of the homes of other tenants among them.',
    instead: 'Put no customer data in names; give a sensitive tenant a database of its own.',
  },
  {
    id: 'ROL-09',
    title: 'Databases and their counters',
    what: 'pg_database and pg_stat_database list every database of the server.',
    instead: 'Use opaque names; give a sensitive tenant a server of its own.',
  },
  {
    id: 'ORA-10',
    title: 'Sizes and row counts',
    what: 'pg_class.reltuples and pg_relation_size tell how large a table is: a pooled one for all tenants together, one in the schema of a tenant for that one. Read by another tenant, the latter answers with an error, or with nothing where it is empty.',
    instead: 'Give a sensitive tenant a database of its own.',
  },
  {
    id: 'ORA-12',
    title: 'Estimates of the planner',
    what: "EXPLAIN shows how many rows the statistics expect for any tenant's id.",
    instead: 'Show plans to operators only; give a sensitive tenant a database of its own.',
  },
  {
    id: 'ORA-14',
    title: 'Timing',
    what: 'A statement takes longer where more tenants share an index page, a lock or the cache.',
    instead: 'Give a sensitive tenant a server of its own; answer logins and invitations in constant shape.',
  },
  {
    id: 'SHR-01',
    title: 'NOTIFY',
    what: 'Channels have no privileges: SQL injected into one tenant can notify and be heard by whoever listens.',
    instead: 'Put only opaque ids into payloads, and let a platform login listen; the library refuses LISTEN.',
  },
  {
    id: 'SHR-04',
    title: 'LOCK TABLE',
    what: 'Whoever may update a table may lock it for everybody, up to the time limits of the statement and its transaction.',
    instead: 'Keep lock_timeout and idle-in-transaction limits; alarm on AccessExclusiveLock of the application.',
  },
  {
    id: 'SHR-05',
    title: 'Long transactions',
    what: 'An open snapshot of one tenant holds back vacuum for all.',
    instead: 'Keep the time limits; end old transactions from outside.',
  },
  {
    id: 'ROL-01',
    title: "A role's own defaults",
    what: 'SQL injected where statements can be stacked may ALTER ROLE its own search_path, time limits or password.',
    instead:
      'The library allows one statement at a time and sends its settings at every start; doctor rule L23 finds changes.',
  },
  {
    id: 'CTX-16',
    title: 'Statements of others in pg_stat_activity',
    what: 'Connections of one login see the text of one another’s running statements.',
    instead: 'Send values as parameters only; the text then holds none.',
  },
]

/** Families of the catalogue whose surface is not part of Rowhouse yet: their attacks arrive together with it. */
export const LATER_SURFACES: readonly LaterSurface[] = [
  { surface: 'cache', ids: ['APP-01', 'APP-02'] },
  { surface: 'files', ids: ['APP-03', 'APP-04'] },
  { surface: 'jobs', ids: ['APP-05', 'APP-06'] },
  { surface: 'webhooks', ids: ['APP-07', 'APP-08', 'APP-09'] },
  { surface: 'mail and templates', ids: ['APP-10', 'APP-11'] },
  { surface: 'white label', ids: ['APP-12', 'APP-13'] },
  { surface: 'configuration', ids: ['APP-14'] },
  { surface: 'backup and export', ids: ['APP-15', 'APP-21'] },
  { surface: 'search and vectors', ids: ['APP-19'] },
  { surface: 'admin portal', ids: ['APP-20', 'WEB-23'] },
  { surface: 'erase', ids: ['APP-24'] },
  { surface: 'moves', ids: ['RLS-35', 'ROL-13', 'ROL-14'] },
  { surface: 'a login per tenant', ids: ['ROL-04', 'ROL-08', 'ROL-10'] },
  {
    surface: 'sign-up, custom domains and single sign-on',
    ids: ['WEB-08', 'WEB-09', 'WEB-10', 'WEB-11', 'WEB-20', 'WEB-21', 'WEB-24'],
  },
]
