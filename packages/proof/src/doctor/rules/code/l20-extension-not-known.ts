import { type Rule, SURVEYED } from '../../rule.ts'
import { REACH } from '../policy/own-objects.ts'
import { HARMLESS_EXTENSIONS, OPENINGS } from './harmless-extensions.ts'

const HARMLESS = HARMLESS_EXTENSIONS.map((name) => `'${name}'`).join(', ')
const OPENING = OPENINGS.map(([name, what]) => `('${name}', '${what}')`).join(', ')

export const extensionNotKnown: Rule = {
  id: 'L20',
  name: 'extension-not-known',
  severity: 'error',
  title: 'Extension or language that opens more than tables',
  why: 'Policies guard tables. An extension that opens connections, files or pages, and a language that is not trusted, lead past them. The functions of an extension may be called by everybody unless somebody revoked that.',
  remedy:
    'Drop the extension, or move what needs it into a database without tenants. Keep extensions in a schema where only their owner may create objects.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH}, opening (name, what) as (values ${OPENING})
    select format('extension %I', e.extname) as object,
           format('extension %I %s', e.extname, coalesce(o.what, 'is not one that is known to be harmless')) as message,
           format('drop extension %I;', e.extname) as mend
      from pg_extension e left join opening o on o.name = e.extname
     where e.extname not in (${HARMLESS})
       -- An extension that brings a language is judged by the language.
       and not exists (select from pg_depend d where d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.classid = 'pg_language'::regclass)
    union all
    select format('extension %I', e.extname),
           format('extension %I is in schema %I, where the application may create objects of the same names', e.extname, n.nspname),
           format('revoke create on schema %I from public;', n.nspname)
      from pg_extension e join pg_namespace n on n.oid = e.extnamespace
     where exists (select from aclexplode(n.nspacl) acl join reach r on r.oid = acl.grantee where acl.privilege_type = 'CREATE')
    union all
    select format('language %I', l.lanname), format('language %I is not trusted: its functions do what the server may do', l.lanname), format('drop language %I;', l.lanname)
      from pg_language l where not l.lanpltrusted and l.lanname not in ('internal', 'c')`,
  fixtures: {
    fires: [
      'create extension dblink',
      'create extension postgres_fdw',
      'grant create on schema public to public; create extension pg_trgm',
      'create language wild handler plpgsql_call_handler',
    ],
    quiet: ['create extension pg_trgm', 'create extension btree_gist; create extension citext'],
  },
}
