import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { inject } from 'vitest'
import { urlOf, withAdminClient } from './admin-client.ts'

/** A database of one test file. */
export interface TestDatabase {
  readonly name: string
  /** Superuser: may do what an operator may do, and looks behind the walls to check them. */
  readonly adminUrl: string
  /** Login role of the application, `rowhouse_app`: what the code under test gets. */
  readonly appUrl: string
  /** Root key of the tenants' seals, the same for all databases of the server: the template was installed with it. */
  readonly rootKey: string
  /** Password of `rowhouse_app`, the same for all databases of the server: a test that installs again must keep it. */
  readonly appPassword: string
  /** Closes whatever is still connected and removes the database. */
  drop(): Promise<void>
}

/** How often to try again when a clone finds somebody connected to the template (autovacuum, a clone next door). */
const CLONE_ATTEMPTS = 100

const OBJECT_IN_USE = '55006'

/**
 * Makes a database on which Rowhouse is installed and nothing else, by cloning the template of the test project.
 *
 * @example One database per test file
 * ```ts
 * const database = await createTestDatabase()
 * afterAll(() => database.drop())
 * ```
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const { adminUrl, template } = inject('testServer')
  const name = randomName()
  await withAdminClient(adminUrl, async (admin) => {
    await clone(admin, template, name)
    await copyDatabaseRights(admin, template, name)
  })
  return describe(name)
}

/** Makes a database without Rowhouse, for tests of the installer itself. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  const name = randomName()
  await withAdminClient(inject('testServer').adminUrl, (admin) => clone(admin, 'template0', name))
  return describe(name)
}

/** Major version of the server the running test project uses, for what differs between versions. */
export function serverMajor(): number {
  return inject('testServer').major
}

function randomName(): string {
  return `test_${randomBytes(6).toString('hex')}`
}

function describe(name: string): TestDatabase {
  const { adminUrl, appPassword, rootKey } = inject('testServer')
  return {
    name,
    adminUrl: urlOf(adminUrl, name),
    appUrl: urlOf(adminUrl, name, { user: 'rowhouse_app', password: appPassword }),
    rootKey,
    appPassword,
    drop: () =>
      withAdminClient(adminUrl, async (admin) => {
        await admin.query(`drop database if exists ${name} with (force)`)
      }),
  }
}

/** By copying files: on a server that nobody else works on, that is twice as fast as through the log. */
async function clone(admin: pg.Client, template: string, name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await admin.query(`create database ${name} template ${template} strategy file_copy`)
      return
    } catch (error) {
      if (!isInUse(error) || attempt === CLONE_ATTEMPTS) throw error
      await delay(20) // bounded poll
    }
  }
}

/**
 * Gives the clone the rights and the settings of its template.
 *
 * CREATE DATABASE copies neither: without this PUBLIC could make temporary tables again, and the clone would be a
 * weaker place than what the installer leaves behind.
 */
async function copyDatabaseRights(admin: pg.Client, template: string, name: string): Promise<void> {
  const { rows } = await admin.query<{ statement: string }>(
    `with source as (select oid, datdba, datacl from pg_database where datname = $1)
     select format('revoke all on database %I from public', $2::text) as statement
     union all
     select format('grant %s on database %I to %s%s', acl.privilege_type, $2::text,
                   case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end,
                   case when acl.is_grantable then ' with grant option' else '' end)
     from source, aclexplode(coalesce(datacl, acldefault('d', datdba))) acl
     union all
     select format('alter %s database %I set %I to %s',
                   case when setrole = 0 then '' else format('role %I in', pg_get_userbyid(setrole)) end, $2::text, key,
                   -- A search path is stored as a list that is quoted already; as one literal it would be one name.
                   case when key = 'search_path' then value else quote_literal(value) end)
     from source
     join pg_db_role_setting on setdatabase = source.oid,
     unnest(setconfig) setting,
     lateral (select split_part(setting, '=', 1) as key, substr(setting, strpos(setting, '=') + 1) as value) pair`,
    [template, name],
  )
  await admin.query(rows.map((row) => row.statement).join(';'))
}

function isInUse(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === OBJECT_IN_USE
}
