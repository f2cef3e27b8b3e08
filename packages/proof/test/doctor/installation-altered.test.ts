/** Rule L09 knows what the installer makes, and notices whatever is changed in it. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, serverMajor } from '../../../core/test/support/database.ts'
import { SURVEYED } from '../../src/doctor/rule.ts'
import { CANONICAL } from '../../src/doctor/rules/policy/canonical-policies.ts'
import { DESCRIBED } from '../../src/doctor/rules/policy/describe-installation.ts'
import { INSTALLED_OBJECTS } from '../../src/doctor/rules/policy/installed-objects.ts'
import { installationAltered } from '../../src/doctor/rules/policy/l09-installation-altered.ts'
import { takeSurvey } from '../../src/doctor/survey.ts'
import { openPatient, type Patient } from './examination.ts'

let patient: Patient

beforeAll(async () => {
  patient = await openPatient(await createTestDatabase())
})

afterAll(() => patient.close())

async function rows<T>(sql: string): Promise<T[]> {
  await patient.client.query('begin; set local search_path = pg_catalog, pg_temp')
  try {
    return (await patient.client.query(sql)).rows as T[]
  } finally {
    await patient.client.query('rollback')
  }
}

test('the committed list is what the installer makes: packages/proof/test/doctor/write-installed-objects.ts', async () => {
  const version =
    (await rows<{ version: number }>('select max(version) as version from rowhouse.migration'))[0]?.version ?? 0
  const found = await rows<{ object: string; fingerprint: string }>(`with ${DESCRIBED} select * from described`)
  const listed = INSTALLED_OBJECTS.filter(
    ({ versions, majors }) => versions.includes(version) && majors.includes(serverMajor()),
  ).map(({ object, fingerprint }) => ({ object, fingerprint }))
  const sort = (objects: { object: string; fingerprint: string }[]) =>
    objects.sort((a, b) => (a.object < b.object ? -1 : 1))
  expect(listed.length).toBeGreaterThan(80)
  expect(sort(found)).toEqual(sort(listed))
})

test.each(['public', 't_acme_00000000000a', 't_acme', 'T_acme_00000000000a'])(
  'the canonical policies are what a fresh protect() makes in schema %s',
  async (schema) => {
    await patient.client.query('begin')
    await patient.client.query(`create schema if not exists "${schema}"`)
    await patient.client.query(
      `create table "${schema}".t (tenant_id uuid not null, unit_id uuid, id bigint, primary key (tenant_id, id))`,
    )
    await patient.client.query(`select rowhouse.protect('"${schema}".t', unit_scope => true)`)
    await patient.client.query('set local search_path = pg_catalog, pg_temp')
    const { rows: made } = await patient.client.query(
      `select p.polname as name, p.polpermissive as permissive, pg_get_expr(p.polqual, p.polrelid) as condition,
              pg_get_expr(p.polwithcheck, p.polrelid) as checked, p.polcmd, p.polroles::text
         from pg_policy p where p.polrelid = '"${schema}".t'::regclass order by p.oid`,
    )
    const survey = await takeSurvey(patient.client, { appRoles: ['rowhouse_app'] })
    const { rows: canonical } = await patient.client.query(
      `with ${SURVEYED}, ${CANONICAL} select name, permissive, condition from canonical where oid = '"${schema}".t'::regclass`,
      [JSON.stringify(survey)],
    )
    await patient.client.query('rollback')
    expect(canonical).toHaveLength(3)
    expect(made).toEqual(
      canonical.map((policy) => ({ ...policy, checked: policy.condition, polcmd: '*', polroles: '{0}' })),
    )
  },
)

describe('a change is found in', () => {
  /** One weakening per statement; all objects of its kind, so that none is left out by oversight. */
  const changes = {
    'the source of each function': `select object, format('do $do$ begin execute replace(pg_get_functiondef(%s), %L, %L); end $do$', oid, prosrc, ' ' || prosrc) as script
      from routine where prosqlbody is null`,
    'the body of each function in standard SQL': `select object, format('do $do$ begin execute regexp_replace(pg_get_functiondef(%s), %L, %L, %L); end $do$', oid,
        '(RETURN )(.*)$|(\\n SELECT)(.*;\\n)', case when prosrc = '' and pg_get_function_sqlbody(oid) like 'RETURN%' then 'RETURN (null)::' || format_type(prorettype, null) else '\\3\\4 SELECT\\4' end, '') as script
      from routine where prosqlbody is not null and not proretset and pg_get_function_sqlbody(oid) like 'RETURN%'`,
    'the volatility of each function': `select object, format('alter function %s %s', oid::regprocedure, case provolatile when 's' then 'immutable' else 'stable' end) as script from routine`,
    'the rights of each function': `select object, format('alter function %s security %s', oid::regprocedure, case when prosecdef then 'invoker' else 'definer' end) as script from routine`,
    'the search path of each function': `select object, format('alter function %s set search_path = public', oid::regprocedure) as script from routine`,
    'the parallel mark of each function': `select object, format('alter function %s parallel %s', oid::regprocedure, case proparallel when 'r' then 'safe' else 'restricted' end) as script from routine`,
    'the owner of each function': `select object, format('alter function %s owner to rowhouse_app', oid::regprocedure) as script from routine`,
    'the grants of each function': `select object, format('grant execute on function %s to public', oid::regprocedure) as script from routine`,
    'the name of each function': `select object, format('alter function %s rename to gone', oid::regprocedure) as script from routine`,
    'the grants of each table and view': `select object, format('grant insert on %s to rowhouse_app', oid::regclass) as script from relation`,
    'the columns granted of each table': `select object, format('grant select (%I) on %s to rowhouse_app', attname, oid::regclass) as script from relation join pg_attribute on attrelid = oid and attnum = 1 where relkind = 'r'`,
    'the owner of each table and view': `select object, format('alter table %s owner to rowhouse_app', oid::regclass) as script from relation`,
    'row-level security of each table': `select object, format('alter table %s enable row level security', oid::regclass) as script from relation where relkind = 'r'`,
    'the triggers of each table': `select object, format('alter table %s disable trigger all', oid::regclass) as script from relation where exists (select from pg_trigger where tgrelid = relation.oid)`,
    'a child of each table': `select object, format('create table public.child () inherits (%s)', oid::regclass) as script from relation where relkind = 'r'`,
    'a rule on each table': `select object, format('create rule r as on delete to %s do instead nothing', oid::regclass) as script from relation where relkind = 'r'`,
    'the options of each view': `select object, format('alter view %s set (security_invoker = true)', oid::regclass) as script from relation where relkind = 'v'`,
    'each column': `select object || '.' || attname as object, format('alter table %s rename %I to gone', oid::regclass, attname) as script from relation join pg_attribute on attrelid = oid and attnum > 0 where relname <> 'migration'`,
    'each constraint': `select conname as object, format('alter table %s drop constraint %I cascade', oid::regclass, conname) as script
      from relation join (select conrelid, conname from pg_constraint where contype <> 'n') c on conrelid = oid`,
    'each index': `select indexrelid::regclass::text as object, format('drop index %s', indexrelid::regclass) as script
      from relation join pg_index i on indrelid = relation.oid where not exists (select from pg_constraint where conindid = indexrelid)`,
    'each condition of the view that checks the seal': `select condition as object, format('create or replace view rowhouse.sealed with (security_barrier = true) as %s',
        replace(pg_get_viewdef('rowhouse.sealed'), condition, weaker)) as script
      from (values ('stamp =', 'stamp <>'), ('>', '<>'), ('ELSE false', 'ELSE true'), ('64)', '63)')) w (condition, weaker)`,
  }

  test.each(Object.entries(changes))('%s', async (_, sql) => {
    const found = await rows<{ object: string; script: string }>(`
      with routine as (select p.*, p.oid::regprocedure::text as object from pg_proc p where p.pronamespace = 'rowhouse'::regnamespace),
      relation as (select c.*, c.oid::regclass::text as object from pg_class c where c.relnamespace = 'rowhouse'::regnamespace and c.relkind in ('r', 'v'))
      ${sql}`)
    expect(found.length).toBeGreaterThan(0)
    const missed: string[] = []
    for (const { object, script } of found) {
      const { findings, failed } = await patient.ask([installationAltered], script)
      expect(failed).toEqual([])
      if (findings.length === 0) missed.push(`${object}: ${script}`)
    }
    expect(missed).toEqual([])
  })
})
