import type pg from 'pg'
import { escapeIdentifier } from 'pg'
import { MigrationError } from 'rowhouse'

/**
 * Asserts that no policy binds the login of a connection, and that it may write rows without firing triggers. Statements
 * of any other see no rows, and what was copied, compared or erased with it would be nothing.
 *
 * @param action  what it is for, to follow "Cannot"
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING` with the statement that grants it
 */
export async function assertUnbound(client: Pick<pg.ClientBase, 'query'>, action: string): Promise<void> {
  const { rows } = await client.query<{ may: boolean; login: string }>(
    `select rolname as login, rolsuper or (rolbypassrls and has_parameter_privilege(rolname, 'session_replication_role', 'SET')) as may
       from pg_roles where rolname = current_user`,
  )
  if (rows[0]?.may === true) return
  const login = rows[0]?.login ?? ''
  const role = escapeIdentifier(login)
  throw new MigrationError(
    'ERR_PRIVILEGE_MISSING',
    `Cannot ${action}: policies bind the operator's login "${login}"; run "alter role ${role} bypassrls; grant rowhouse_owner to ${role}; grant set on parameter session_replication_role to ${role}", or use a superuser`,
  )
}
