/** What the doctor says about a database that never saw Rowhouse: tables as they are found in many products. */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEmptyDatabase } from '../../../core/test/support/database.ts'
import { codeRules } from '../../src/doctor/rules/code.ts'
import { policyRules } from '../../src/doctor/rules/policy.ts'
import { openPatient, type Patient } from './examination.ts'

const rules = [...policyRules, ...codeRules]
const web = `web_${randomBytes(4).toString('hex')}`
const owner = `owner_${randomBytes(4).toString('hex')}`

let patient: Patient

beforeAll(async () => {
  patient = await openPatient(await createEmptyDatabase())
})

afterAll(() => patient.close())

const ROLES = `create role ${web} login; create role ${owner};
  do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$;`

/** Roles have random names in tests; readers see what an operator would. */
async function assess(script: string): Promise<string[]> {
  const { findings, failed } = await patient.ask(rules, `${ROLES} ${script}`, { appRoles: [web] })
  expect(failed).toEqual([])
  return findings.map(({ rule, message }) => `${rule} ${message.replaceAll(web, 'web').replaceAll(owner, 'owner')}`)
}

test('an application that owns its tables and filters by itself', async () => {
  const found = await assess(`
    create table plan (id bigint primary key, name text);
    create table organization (id bigint primary key, plan_id bigint references plan);
    create table project (id bigint primary key, organization_id bigint not null references organization, name text);
    create table invitation (id bigint primary key, "organizationId" bigint, email text unique);
    alter table plan owner to ${web}; alter table organization owner to ${web};
    alter table project owner to ${web}; alter table invitation owner to ${web};`)
  expect(found).toEqual([
    'L01 public.invitation has rows of tenants (organizationId) and no row-level security',
    'L01 public.project has rows of tenants (organization_id) and no row-level security',
    'L08 public.invitation."organizationId" may be null: such a row belongs to no tenant',
    'L10 table public.invitation belongs to web, a role of the application: it may change or open it',
    'L10 table public.organization belongs to web, a role of the application: it may change or open it',
    'L10 table public.plan belongs to web, a role of the application: it may change or open it',
    'L10 table public.project belongs to web, a role of the application: it may change or open it',
  ])
})

test('row-level security the usual way, on a setting, not forced, with a view around it', async () => {
  const found = await assess(`
    create table invoice (id bigint primary key, account_id uuid not null, total numeric);
    alter table invoice enable row level security;
    create policy by_account on invoice using (account_id = current_setting('app.account_id', true)::uuid);
    create view revenue as select account_id, sum(total) from invoice group by 1;
    create function all_totals() returns numeric language sql security definer as $$ select sum(total) from invoice $$;
    grant select, insert, update, delete on invoice to ${web};
    grant select on revenue to ${web};`)
  expect(
    found.map((each) =>
      each.replace(/as \w+, whom/, 'as the superuser, whom').replace(/: \w+, its owner/, ': the superuser, its owner'),
    ),
  ).toEqual([
    'L02 public.invoice does not force row-level security: the superuser, its owner, reads the rows of all tenants',
    "L07 policy by_account on public.invoice believes a setting that any statement, injected ones included, may change: (account_id = (current_setting('app.account_id'::text, true))::uuid)",
    'L11 view public.revenue reaches public.invoice past its policies and the application may select it',
    'L13 the application may call public.all_totals(), which runs as the superuser, whom policies do not bind',
    'L14 public.all_totals() runs with the rights of its owner and has no search path of its own',
    'L15 everybody may call public.all_totals(), which runs with the rights of its owner',
  ])
})

test('policies by membership, forced, owned by nobody who logs in', async () => {
  const found = await assess(`
    create table member (login name, team_id bigint not null, primary key (team_id, login));
    create table board (id bigint, team_id bigint not null, primary key (team_id, id));
    alter table member enable row level security, force row level security;
    alter table board enable row level security, force row level security;
    create policy own on member using (login = current_user);
    create policy own on board using (team_id in (select m.team_id from member m where m.login = current_user));
    alter table member owner to ${owner}; alter table board owner to ${owner};
    grant select, insert, update, delete on member, board to ${web};`)
  expect(found).toEqual([])
})

test('a database as PostgreSQL makes it', async () => {
  const { findings, skipped } = await patient.ask(rules, `create role ${web} login`, { appRoles: [web] })
  expect(findings.map(({ rule, message }) => `${rule} ${message}`)).toEqual([
    expect.stringMatching(/^L18 everybody may create temporary objects in database test_\w+$/),
  ])
  expect(skipped).toEqual([
    { rule: 'L04', reason: 'Rowhouse is not installed in this database' },
    { rule: 'L09', reason: 'Rowhouse is not installed in this database' },
    { rule: 'L61', reason: 'Rowhouse is not installed in this database' },
  ])
})
