import type { Rule } from '../../rule.ts'
import { SURVEYED } from '../../rule.ts'
import { notOfExtension } from '../policy/own-objects.ts'

export const leakproofFunction: Rule = {
  id: 'L21',
  name: 'leakproof-function',
  severity: 'error',
  title: 'Function marked LEAKPROOF',
  why: 'PostgreSQL runs conditions marked LEAKPROOF before the policies, on the rows of all tenants. A function that raises an error, writes a notice or takes longer for some values then tells what those rows hold. Only functions of PostgreSQL itself were examined for that.',
  remedy: 'Take the mark away. Where it was meant to let an index be used, put the tenant column first in the index.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select format('routine %s', p.oid::regprocedure) as object,
           format('%s is marked LEAKPROOF: it sees rows before the policies do', p.oid::regprocedure) as message,
           format('alter function %s not leakproof;', p.oid::regprocedure) as mend
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where p.proleakproof and n.nspname <> 'pg_catalog' and ${notOfExtension('pg_proc', 'p.oid')}`,
  fixtures: {
    fires: [
      'create function same(a text, b text) returns boolean immutable leakproof language sql as $$ select a = b $$',
    ],
    quiet: ['create function same(a text, b text) returns boolean immutable language sql as $$ select a = b $$'],
  },
}
