import type pg from 'pg'
import { ConfigError, isRowhouseError, MigrationError } from '../errors.ts'
import { toRowhouseError } from '../postgres/database-error.ts'
import { SQLSTATE } from '../postgres/sqlstate.ts'
import { parseRootKey, type RootKey } from '../seal/tenant-key.ts'
import { PLATFORM } from '../tenant/platform.ts'
import { withAdminConnection } from './admin-connection.ts'
import { toAdminError } from './admin-error.ts'
import { scramVerifier } from './scram.ts'
import { assertServerVersion } from './server-version.ts'
import { readSqlFiles, type SqlFile } from './sql-files.ts'

export interface InstallOptions {
  /** URL of a login that may create roles and schemas in the database: a superuser, or CREATEROLE and owner of the database. */
  readonly url: string | undefined
  /** 32 random bytes as hex or base64. Keep it: a database belongs to the root key it was installed with. */
  readonly rootKey: string | undefined
  /** Lets `rowhouse_app` log in with this password. Left out, the role stays without login and other logins are granted it. */
  readonly appPassword?: string
  /** Returns what would be applied, and applies nothing. @defaultValue false */
  readonly dryRun?: boolean
  /** How long to wait for another installer, in milliseconds, 1 to 3,600,000. @defaultValue 60_000 */
  readonly lockTimeoutMs?: number
}

export interface InstallReport {
  /** Version of the schema afterwards. */
  readonly version: number
  /** Files applied now (or, in a dry run, that would be), oldest first. */
  readonly applied: readonly { readonly name: string; readonly text: string }[]
}

/** Key of the session advisory lock that lets one installer work at a time; any constant no other program uses. */
const INSTALL_LOCK = 7_262_374_401
/** An installation takes a second; a minute leaves room for one that waits for locks of the application itself. */
const LOCK_TIMEOUT_MS = 60_000
const MAX_LOCK_TIMEOUT_MS = 3_600_000

/**
 * Installs Rowhouse into a database, or brings an older installation up to date.
 *
 * Creates the roles `rowhouse_owner`, `rowhouse_migrator` and `rowhouse_app` where they are missing and the schema
 * `rowhouse`; touches no table of the application. Each file is one transaction: a failed one leaves nothing.
 * Running it again changes nothing.
 *
 * @throws {MigrationError} `ERR_SERVER_UNSUPPORTED`, `ERR_PRIVILEGE_MISSING`, `ERR_SCHEMA_NEWER`, `ERR_SCHEMA_DRIFT`,
 *   `ERR_MIGRATION_LOCKED` (another installer is at work; safe to retry), `ERR_MIGRATION_FAILED`
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the database was installed with another root key or the login is refused,
 *   `ERR_ADMIN_REQUIRED`
 * @throws {RangeError} for an empty `appPassword`, or `lockTimeoutMs` out of range
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`; safe to retry
 * @example
 * ```ts
 * import { install } from 'rowhouse/install'
 * const { version } = await install({ url: process.env.ROWHOUSE_ADMIN_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY })
 * ```
 */
export async function install(options: InstallOptions): Promise<InstallReport> {
  const rootKey = parseRootKey(options.rootKey)
  assertOptions(options)
  return withAdminConnection(options.url, (client) =>
    installWith(client, rootKey, options).catch((error) => {
      throw toAdminError(error, 'install')
    }),
  )
}

function assertOptions({ appPassword, lockTimeoutMs = LOCK_TIMEOUT_MS }: InstallOptions): void {
  if (appPassword === '') {
    throw new RangeError('Cannot let "rowhouse_app" log in without a password: leave appPassword out, or give one')
  }
  if (!Number.isInteger(lockTimeoutMs) || lockTimeoutMs < 1 || lockTimeoutMs > MAX_LOCK_TIMEOUT_MS) {
    throw new RangeError(
      `Cannot wait ${lockTimeoutMs} ms for another installer: wanted lockTimeoutMs from 1 to ${MAX_LOCK_TIMEOUT_MS}`,
    )
  }
}

async function installWith(client: pg.Client, rootKey: RootKey, options: InstallOptions): Promise<InstallReport> {
  const files = readSqlFiles()
  const { rows } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  assertServerVersion(rows[0]?.version ?? 0)
  if (options.dryRun === true) return report(files, await findPending(client, files))
  await lock(client, options.lockTimeoutMs ?? LOCK_TIMEOUT_MS)
  const pending = await findPending(client, files)
  if (pending.length > 0) await assertPrivileges(client, pending)
  for (const file of pending) await apply(client, file)
  await admitPlatform(client, rootKey)
  if (options.appPassword !== undefined) await allowLogin(client, options.appPassword)
  return report(files, pending)
}

function report(files: readonly SqlFile[], applied: readonly SqlFile[]): InstallReport {
  return { version: files.at(-1)?.version ?? 0, applied: applied.map(({ name, text }) => ({ name, text })) }
}

async function lock(client: pg.Client, timeoutMs: number): Promise<void> {
  await client.query(`select set_config('lock_timeout', $1, false)`, [String(timeoutMs)])
  await client.query('select pg_advisory_lock($1)', [INSTALL_LOCK]).catch((error) => {
    if (error.code !== SQLSTATE.lockNotAvailable) throw error
    throw new MigrationError(
      'ERR_MIGRATION_LOCKED',
      `Cannot install now: another installer held the lock for ${timeoutMs / 1000} seconds; try again when it is done`,
      { cause: error },
    )
  })
}

interface AppliedRow {
  readonly version: number
  readonly name: string
  readonly sha256: string
}

async function findPending(client: pg.Client, files: readonly SqlFile[]): Promise<SqlFile[]> {
  // From the catalogue, because to_regclass fails for a login that may not look into the schema.
  const { rows } = await client.query<{ installed: boolean }>(
    `select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = 'rowhouse' and c.relname = 'migration') as installed`,
  )
  if (rows[0]?.installed !== true) return [...files]
  const applied = await client
    .query<AppliedRow>('select version, name, sha256 from rowhouse.migration order by version')
    .catch((error) => {
      throw new MigrationError(
        'ERR_PRIVILEGE_MISSING',
        'Cannot read which migrations were applied: this login may not become "rowhouse_owner"; use the login that installed Rowhouse, or grant it that role',
        { cause: error },
      )
    })
  const newest = files.at(-1)?.version ?? 0
  for (const row of applied.rows) assertUnchanged(row, files, newest)
  const done = new Set(applied.rows.map(({ version }) => version))
  return files.filter(({ version }) => !done.has(version))
}

function assertUnchanged(row: AppliedRow, files: readonly SqlFile[], newest: number): void {
  if (row.version > newest) {
    throw new MigrationError(
      'ERR_SCHEMA_NEWER',
      `Cannot work with this database: its schema "rowhouse" is at version ${row.version}, this library knows ${newest}; update the library`,
    )
  }
  const file = files.find(({ version }) => version === row.version)
  if (file?.sha256 === row.sha256) return
  throw new MigrationError(
    'ERR_SCHEMA_DRIFT',
    `Cannot trust migration "${row.name}": what was applied differs from the file of this library; install the version it was applied with, then update`,
  )
}

/** Says what is missing before the first statement fails halfway with a message about one role. */
async function assertPrivileges(client: pg.Client, pending: readonly SqlFile[]): Promise<void> {
  if (pending[0]?.version !== 1) return
  const { rows } = await client.query<{ role: string; missing: string[] }>(`
    select current_user::text as role, array_remove(array[
      case when not (r.rolsuper or r.rolcreaterole) then 'CREATEROLE' end,
      case when not (r.rolsuper or pg_has_role(d.datdba, 'member')) then format('ownership of database %I', d.datname) end,
      case when not (r.rolsuper or pg_has_role(n.nspowner, 'member')) then 'ownership of schema public' end,
      case when not r.rolsuper and current_setting('server_version_num')::int >= 160000 and exists (
          select from pg_roles o where o.rolname in ('rowhouse_owner', 'rowhouse_migrator')
             and not exists (select from pg_auth_members m where m.roleid = o.oid and m.member = r.oid and m.admin_option))
        then 'ADMIN OPTION on the roles rowhouse_owner and rowhouse_migrator, which exist on this server already' end
    ], null) as missing
    from pg_roles r, pg_database d, pg_namespace n
    where r.rolname = current_user and d.datname = current_database() and n.nspname = 'public'`)
  const [found] = rows
  if (found === undefined || found.missing.length === 0) return
  throw new MigrationError(
    'ERR_PRIVILEGE_MISSING',
    `Cannot install as role "${found.role}": it lacks ${found.missing.join(' and ')}; install once as a login that has it, no later command needs it`,
  )
}

async function apply(client: pg.Client, file: SqlFile): Promise<void> {
  try {
    await client.query('begin')
    await client.query(file.text)
    await client.query('set local role rowhouse_owner')
    await client.query('insert into rowhouse.migration (version, name, sha256) values ($1, $2, $3)', [
      file.version,
      file.name,
      file.sha256,
    ])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => {})
    if (isRowhouseError(error)) throw error
    const { message, code } = error as Error & { code?: string }
    const missing = code === SQLSTATE.insufficientPrivilege
    throw new MigrationError(
      missing ? 'ERR_PRIVILEGE_MISSING' : 'ERR_MIGRATION_FAILED',
      `Cannot apply "${file.name}": ${message}; nothing of it was kept`,
      { cause: error },
    )
  }
}

/** Admits the platform's own key, or finds that the database belongs to another root key. */
async function admitPlatform(client: pg.Client, rootKey: RootKey): Promise<void> {
  const { ipad, opad } = rootKey.deriveTenantKey(PLATFORM.id, PLATFORM.keyVersion)
  await client.query('begin')
  try {
    await client.query('set local role rowhouse_owner')
    await client.query(
      `insert into rowhouse.resident (tenant_id, key_version, ipad, opad) values ($1, $2, $3, $4) on conflict do nothing`,
      [PLATFORM.id, PLATFORM.keyVersion, ipad, opad],
    )
    const { rows } = await client.query<{ same: boolean }>(
      'select ipad = $2 and opad = $3 as same from rowhouse.resident where tenant_id = $1',
      [PLATFORM.id, ipad, opad],
    )
    if (rows[0]?.same !== true) {
      throw new ConfigError(
        'ERR_CONFIG_INVALID',
        'Cannot install with this root key: the database was installed with another one; set ROWHOUSE_ROOT_KEY to that one',
      )
    }
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw error
  }
}

/** Roles belong to the server: an installer of another of its databases may change this one in the same moment. */
const ROLE_ATTEMPTS = 5
const CONCURRENT_CHANGE = 'tuple concurrently updated'

/** A verifier holds no character that a literal would need escaped; ALTER ROLE takes no parameters. */
async function allowLogin(client: pg.Client, password: string, attempt = 1): Promise<void> {
  try {
    await client.query(`alter role rowhouse_app login password '${scramVerifier(password)}'`)
  } catch (error) {
    const { message, code } = error as Error & { code?: string }
    if (message.includes(CONCURRENT_CHANGE) && attempt < ROLE_ATTEMPTS) return allowLogin(client, password, attempt + 1)
    if (code !== SQLSTATE.insufficientPrivilege) throw toRowhouseError(error)
    throw new MigrationError(
      'ERR_PRIVILEGE_MISSING',
      'Cannot set the password of "rowhouse_app": this login needs CREATEROLE and, from PostgreSQL 16 on, ADMIN on that role; use the login that installed Rowhouse',
      { cause: error },
    )
  }
}
