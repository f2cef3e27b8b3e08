import { ConfigError, TenantError, type TenantId } from 'rowhouse'
import { defineWork, forgetRuns, type Journal } from '../provision/journal.ts'
import { type FailedRun, failedRun, runAttempts } from '../provision/run-outcome.ts'
import type { StepTenant } from '../provision/step.ts'
import { watchedSteps } from '../provision/watched-steps.ts'
import { CENTRAL } from '../registry/operator-connections.ts'
import { listServers } from '../registry/servers.ts'
import { type SealedCertificate, slugDigest } from './certificate.ts'
import { changeWithDoor, endWork } from './door.ts'
import { type EraseJob, type EraseRequest, type FoundToErase, toJob } from './erase-request.ts'
import {
  assertNotMoving,
  type LifecycleTenant,
  record,
  requireState,
  requireTenant,
  type TenantHome,
} from './find-tenant.ts'
import { finishErasure } from './finish-erasure.ts'
import { assertNotHeld } from './legal-hold.ts'
import { toLifecycleError, toRunError } from './lifecycle-error.ts'
import { type Exits, requireExits } from './offboard.ts'
import {
  countRows,
  deleteRows,
  listTables,
  quotedTable,
  type RowsFound,
  withAllRows,
  withoutHold,
} from './tenant-rows.ts'

type EraseOutcome = { readonly ok: true; readonly sealed: SealedCertificate } | FailedRun

/**
 * Each step looks first and acts then, so a run that was killed goes on in the next process. Nothing is erased before every
 * table that holds rows of the tenant is known to be the tenant's own, and the tenant is called erased when none is left.
 */
const eraseWork = defineWork<EraseJob, EraseOutcome>('erase-tenant', async (job, run) => {
  const exits = requireExits()
  const step = watchedSteps(run, job.tenantId, exits.onStep)
  let name = 'begin'
  const next = <T>(called: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    name = called
    return step(called, (signal) =>
      work(signal).catch((error) => {
        throw toLifecycleError(error, `erase tenant "${job.tenantId}"`)
      }),
    )
  }
  try {
    const home = await next('begin', () => begin(exits, job))
    const servers = await next('servers', () => serversToVisit(exits))
    const found = await next('count', () => count(exits, job, home, servers.visited))
    await next('close', () => close(exits, job))
    const leaving = exits.steps.filter(({ leave }) => leave !== undefined)
    for (const each of leaving.toReversed())
      await next(`leave ${each.name}`, (signal) => leave(exits, job, each, signal))
    for (const server of servers.visited) await next(`rows ${server}`, () => emptyServer(exits, job, home, server))
    await next('namespace', () => dropNamespace(exits, job.tenantId, home))
    const proof = await next('prove', () => prove(exits, job, servers.visited))
    const journalEntries = await next('forget', () => forget(exits, job))
    const facts = { home, servers, found, proof, journalEntries }
    const sealed = await next('finish', () => finishErasure(exits, job, facts))
    return { ok: true, sealed }
  } catch (error) {
    return failedRun(name, error)
  }
})

/**
 * Erases a tenant that has left: its rows, its schema or database, its keys, names and credentials. Returns the certificate,
 * which the registry keeps.
 *
 * @param request.now  erases before the clock has run out; `reason` says why
 * @throws {TenantError} `ERR_TENANT_NOT_FOUND`, `ERR_TENANT_STATE`, `ERR_TENANT_RETAINED`, `ERR_TENANT_HELD`,
 *   `ERR_CAUSE_INVALID`, `ERR_ERASE_INCOMPLETE` naming the tables that stand in the way
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING` for a login that policies bind
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a tenant on a Citus server
 * @throws {UnavailableError} safe to repeat: what is erased stays erased
 */
export async function eraseTenant(
  journal: Journal,
  exits: Exits,
  name: string,
  request: EraseRequest,
): Promise<SealedCertificate> {
  const action = `erase tenant "${name}"`
  const tenant = await requireTenant(exits.connections.central, name, action)
  const job = toJob(tenant.id, request, action)
  // Said before anything is journalled: most refusals are found here.
  await assertErasable(exits, tenant, job, action)
  const outcome = await runAttempts(journal, eraseWork, `erase:${tenant.id}`, job)
  if (!outcome.ok) throw toRunError(action, outcome)
  return outcome.sealed
}

/** The same conditions the database has on the first row of an erasure, in words. */
async function assertErasable(
  { connections }: Exits,
  tenant: LifecycleTenant,
  { now }: Pick<EraseJob, 'now'>,
  action: string,
): Promise<void> {
  if (tenant.state === 'erased') {
    throw new TenantError(
      'ERR_TENANT_STATE',
      `Cannot ${action}: it is erased; see its certificate with "rowhouse tenant certificate ${tenant.id}"`,
    )
  }
  requireState(tenant, ['offboarding'], action)
  await assertNotHeld(connections.central, tenant.id, action)
  await assertNotMoving(connections.central, tenant, action)
  const begun = await connections.central.query('select from rowhouse.erasure where tenant_id = $1', [tenant.id])
  if (begun.rowCount === 1) return
  const { rows } = await connections.central.query<{ retain_until: Date | null; is_over: boolean | null }>(
    'select retain_until, retain_until <= clock_timestamp() as is_over from rowhouse.offboarding where tenant_id = $1',
    [tenant.id],
  )
  const until = rows[0]?.retain_until ?? null
  if (until === null) {
    throw new TenantError(
      'ERR_TENANT_RETAINED',
      `Cannot ${action}: its offboarding has not ended, so no clock runs; offboard it again to go on`,
    )
  }
  if (rows[0]?.is_over === true || now) return
  throw new TenantError(
    'ERR_TENANT_RETAINED',
    `Cannot ${action}: it is retained until ${until.toISOString()}; wait, or erase it now and say why`,
  )
}

async function begin(exits: Exits, job: EraseJob): Promise<TenantHome> {
  const { connections } = exits
  const { tenantId } = job
  const action = `erase tenant "${tenantId}"`
  const tenant = await requireTenant(connections.central, tenantId, action)
  if (tenant.home === undefined) throw new TenantError('ERR_TENANT_STATE', `Cannot ${action}: it is ${tenant.state}`)
  const server = (await listServers(connections.central)).find(({ name }) => name === tenant.home?.server)
  if (server?.kind === 'citus') {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot ${action}: it lives on "${server.name}", a Citus server, where erasing is not supported; move it to another server first`,
    )
  }
  if (server?.state === 'down') {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot ${action}: it lives on "${server.name}", which is marked as down; bring it back first`,
    )
  }
  await assertOnlyOwnTables(exits, job)
  return connections.transact(CENTRAL, async (central) => {
    const { slug, state } = await requireTenant(central, tenantId, action, 'for update of t')
    const known = await central.query('select from rowhouse.erasure where tenant_id = $1', [tenantId])
    if (known.rowCount === 1) return tenant.home as TenantHome
    await assertErasable(exits, { ...tenant, state }, job, action)
    const text = `insert into rowhouse.erasure (tenant_id, slug_digest, reason, requested_by, before_retention_ended)
                  select $1, $2, $3, $4, o.retain_until > clock_timestamp() from rowhouse.offboarding o where o.tenant_id = $1`
    await central.query(text, [tenantId, slugDigest(tenantId, slug), job.reason, job.by])
    await record(central, 'erasing', { tenantId, by: job.by, detail: job.reason })
    return tenant.home as TenantHome
  })
}

/** Tables outside the walls belong to the platform, e.g. its invoices: what becomes of them is not for Rowhouse to decide. */
async function assertOnlyOwnTables({ connections }: Exits, { tenantId, keep }: EraseJob): Promise<void> {
  const strays: string[] = []
  for (const server of (await serversToVisit({ connections } as Exits)).visited) {
    const shared = { server, database: undefined }
    strays.push(
      ...(await withAllRows(connections, shared, async (client) => {
        const tables = (await listTables(client, false)).filter(({ walled, isView }) => !walled && !isView)
        const wanted = tables.filter(({ schema, name }) => !keep.includes(`${schema}.${name}`))
        const counts = await countRows(client, wanted, tenantId)
        return wanted.flatMap((table, n) =>
          counts[n] === 0 ? [] : [`${quotedTable(table)} on "${server}" (${counts[n]} rows)`],
        )
      })),
    )
  }
  if (strays.length === 0) return
  throw new TenantError(
    'ERR_ERASE_INCOMPLETE',
    `Cannot erase tenant "${tenantId}": rows of it are in tables outside the walls: ${strays.join(', ')}; delete them, or keep them by name. Nothing was erased`,
  )
}

interface Visits {
  readonly visited: readonly string[]
  readonly notVisited: readonly string[]
}

async function serversToVisit({ connections }: Pick<Exits, 'connections'>): Promise<Visits> {
  const servers = await listServers(connections.central)
  const isVisited = ({ state, kind }: (typeof servers)[number]) => state !== 'down' && kind === 'postgres'
  return {
    visited: servers.filter(isVisited).map(({ name }) => name),
    notVisited: servers.filter((server) => !isVisited(server)).map(({ name }) => name),
  }
}

/** Counted once, before the first row goes: a later attempt finds what the first one found. */
async function count(
  { connections }: Exits,
  { tenantId }: EraseJob,
  home: TenantHome,
  servers: readonly string[],
): Promise<FoundToErase> {
  const known = await connections.central.query<{ found: FoundToErase | null }>(
    'select found from rowhouse.erasure where tenant_id = $1',
    [tenantId],
  )
  if (known.rows[0]?.found) return known.rows[0].found
  const places = servers.map((server) => ({ server, database: undefined as string | undefined }))
  if (home.database !== undefined) places.push({ server: home.server, database: home.database })
  const rows: RowsFound[] = []
  for (const place of places) {
    const isHome = place.server === home.server && place.database === home.database
    rows.push(
      ...(await withAllRows(connections, place, async (client) => {
        const tables = (await listTables(client, false)).filter(({ walled }) => walled)
        const counts = await countRows(client, tables, tenantId)
        return tables.flatMap(({ schema, name }, n) => {
          const found = {
            server: place.server,
            database: place.database ?? null,
            schema,
            table: name,
            rows: counts[n] ?? 0,
          }
          // Of its own tables also the empty ones: they were looked at.
          return found.rows > 0 || (isHome && isOwn(schema, home)) ? [found] : []
        })
      })),
    )
  }
  const found = { rows }
  await connections.transact(CENTRAL, (central) =>
    central.query('update rowhouse.erasure set found = $2 where tenant_id = $1', [tenantId, found]),
  )
  return found
}

function isOwn(schema: string, home: TenantHome): boolean {
  return home.schema === undefined ? !/^t_[a-z0-9_]{2,40}_[0-9a-f]{12}$/.test(schema) : schema === home.schema
}

/** Suspended it is; closed again, because a hand may have opened it, and drained. */
async function close(exits: Exits, { tenantId }: EraseJob): Promise<void> {
  const action = `erase tenant "${tenantId}"`
  const tenant = await requireTenant(exits.connections.central, tenantId, action)
  if (tenant.home === undefined || !(await isThere(exits, tenant.home))) return
  await changeWithDoor(exits, { name: tenantId, action, door: 'suspended' }, async () => {})
  await endWork(exits.connections, exits.rootKey, tenant)
}

/** Before its rows: who is told of the tenant has to know which one it was. */
async function leave(
  { connections, log }: Exits,
  { tenantId }: EraseJob,
  step: Exits['steps'][number],
  signal: AbortSignal,
): Promise<void> {
  const action = `erase tenant "${tenantId}"`
  await assertNotHeld(connections.central, tenantId, action)
  const text = 'select id, slug, name, plan, labels from rowhouse.tenant where id = $1'
  const { rows } = await connections.central.query<Omit<StepTenant, 'region' | 'home'>>(text, [tenantId])
  const { home } = await requireTenant(connections.central, tenantId, action)
  if (rows[0] === undefined) return
  const tenant = { ...rows[0], region: home?.region, ...(home !== undefined && { home }) }
  await step.leave?.({ tenant, idempotencyKey: `erase:${tenantId}`, signal, log })
}

async function isThere({ connections }: Exits, home: TenantHome): Promise<boolean> {
  if (home.database === undefined) return true
  return connections.use({ server: home.server, database: undefined }, async (client) => {
    const text = 'select from pg_database where datname = $1 and datconnlimit <> -2'
    return (await client.query(text, [home.database])).rowCount === 1
  })
}

/** Rows on other servers than the tenant's are what a move left behind. */
async function emptyServer(exits: Exits, { tenantId }: EraseJob, home: TenantHome, server: string): Promise<void> {
  const ownSchema = server === home.server ? home.schema : undefined
  await deleteRows(exits.connections, { server, database: undefined }, tenantId, ownSchema)
}

async function dropNamespace({ connections }: Exits, tenantId: TenantId, home: TenantHome): Promise<void> {
  const shared = { server: home.server, database: undefined }
  await withoutHold(connections, shared, tenantId, async (client) => {
    if (home.schema !== undefined) {
      await client.query(`drop schema if exists ${home.schema} cascade`)
      for (const table of ['applied_migration', 'migration_progress', 'ddl_freeze'])
        await client.query(`delete from rowhouse.${table} where home = $1`, [home.schema])
    }
    await client.query('delete from rowhouse.resident where tenant_id = $1', [tenantId])
  })
  if (home.database === undefined) return
  await connections.disconnect(home)
  await connections.transact(CENTRAL, async (central) => {
    await central.query('select from rowhouse.tenant where id = $1 for share', [tenantId])
    await assertNotHeld(central, tenantId, `erase tenant "${tenantId}"`)
    await connections.use(shared, (client) => client.query(`drop database if exists ${home.database} with (force)`))
  })
}

/** Looks through every table with a column `tenant_id`, of every server, whoever made it. */
async function prove({ connections }: Exits, { tenantId, keep }: EraseJob, servers: readonly string[]) {
  const proof: { server: string; tablesRead: number; rowsLeft: number; kept: RowsFound[] }[] = []
  const left: string[] = []
  for (const server of servers) {
    await withAllRows(connections, { server, database: undefined }, async (client) => {
      const tables = await listTables(client, false)
      for (const view of tables.filter(({ isView }) => isView)) {
        const [rows] = await countRows(client, [view], tenantId)
        if (rows !== 0) await client.query(`refresh materialized view ${quotedTable(view)}`)
      }
      const counts = await countRows(client, tables, tenantId)
      const kept: RowsFound[] = []
      for (const [n, table] of tables.entries()) {
        const rows = counts[n] ?? 0
        if (rows === 0) continue
        const name = `${table.schema}.${table.name}`
        if (keep.includes(name) && !table.walled)
          kept.push({ server, database: null, schema: table.schema, table: table.name, rows })
        else left.push(`${rows} in ${name} on "${server}"`)
      }
      const resident = await client.query('select from rowhouse.resident where tenant_id = $1', [tenantId])
      if (resident.rowCount !== 0) left.push(`its key on "${server}"`)
      proof.push({ server, tablesRead: tables.length, rowsLeft: 0, kept })
    })
  }
  if (left.length === 0) return proof
  throw new TenantError(
    'ERR_ERASE_INCOMPLETE',
    `Cannot call tenant "${tenantId}" erased: there are ${left.join(', ')}; erase it again, and find out who writes there`,
  )
}

/** What the journal kept of this tenant's making and leaving holds names and addresses. The run that erases it stays. */
async function forget({ connections }: Exits, { tenantId }: EraseJob): Promise<number> {
  const { rows } = await connections.central.query<{ request: string | null }>(
    'select request from rowhouse.tenant where id = $1',
    [tenantId],
  )
  const prefixes = [`offboard:${tenantId}:`, `erase:${tenantId}:`]
  if (rows[0]?.request) prefixes.push(`provision:${rows[0].request}:`)
  const text = `select w.workflow_uuid as id from rowhouse_journal.workflow_status w
                 where w.status not in ('PENDING', 'ENQUEUED') and exists (select from unnest($1::text[]) p where starts_with(w.workflow_uuid, p))`
  const ended = await connections.central.query<{ id: string }>(text, [prefixes])
  await forgetRuns(ended.rows.map(({ id }) => id))
  return ended.rows.length
}
