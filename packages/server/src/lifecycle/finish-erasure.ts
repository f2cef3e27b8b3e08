import { CENTRAL } from '../registry/operator-connections.ts'
import {
  CERTIFICATE_FORMAT,
  type EraseCertificate,
  type Remainder,
  type SealedCertificate,
  sealCertificate,
} from './certificate.ts'
import type { EraseJob, FoundToErase } from './erase-request.ts'
import { type Runner, record, requireTenant, type TenantHome } from './find-tenant.ts'
import { assertNotHeld } from './legal-hold.ts'
import type { Exits } from './offboard.ts'
import { countRows, listTables, type RowsFound } from './tenant-rows.ts'

/** What the steps before the last one found out. */
export interface ErasureFacts {
  readonly home: TenantHome
  readonly servers: { readonly visited: readonly string[]; readonly notVisited: readonly string[] }
  readonly found: FoundToErase
  readonly proof: readonly {
    readonly server: string
    readonly tablesRead: number
    readonly rowsLeft: number
    readonly kept: readonly RowsFound[]
  }[]
  readonly journalEntries: number
}

interface LeavingRow {
  readonly requested_by: string
  readonly requested_at: Date
  readonly reason: string
  readonly retain_until: Date
  readonly export_reference: string | null
}

interface ErasureRow {
  readonly slug_digest: string
  readonly reason: string
  readonly requested_by: string
  readonly before_retention_ended: boolean
  readonly began_at: Date
}

const DAY_MS = 86_400_000

/** Returns the certificate of an erasure that is done. */
export async function readCertificate(central: Runner, tenantId: string): Promise<SealedCertificate | undefined> {
  const text = 'select certificate, sha256, hmac from rowhouse.erasure where tenant_id = $1 and certificate is not null'
  return (await central.query<SealedCertificate>(text, [tenantId])).rows[0]
}

/**
 * Takes the tenant's names and credentials out of the registry, leaves digests in their place, and writes the certificate: in
 * one transaction, so that a tenant is erased exactly when it has one.
 */
export function finishErasure(
  { connections, rootKey, steps }: Pick<Exits, 'connections' | 'rootKey' | 'steps'>,
  job: EraseJob,
  facts: ErasureFacts,
): Promise<SealedCertificate> {
  const { tenantId } = job
  return connections.transact(CENTRAL, async (central) => {
    const action = `erase tenant "${tenantId}"`
    const { slug } = await requireTenant(central, tenantId, action, 'for update of t')
    const written = await readCertificate(central, tenantId)
    if (written !== undefined) return written
    await assertNotHeld(central, tenantId, action)
    const leaving = await one<LeavingRow>(central, 'select * from rowhouse.offboarding where tenant_id = $1', tenantId)
    const erasure = await one<ErasureRow>(central, 'select * from rowhouse.erasure where tenant_id = $1', tenantId)
    const removed = await clearRegistry(central, tenantId, slug)
    await record(central, 'erased', { tenantId, by: job.by })
    const erasedAt = new Date()
    const certificate: EraseCertificate = {
      format: CERTIFICATE_FORMAT,
      tenantId,
      slugDigest: erasure.slug_digest,
      reason: erasure.reason,
      requestedBy: erasure.requested_by,
      offboarding: {
        requestedBy: leaving.requested_by,
        requestedAt: leaving.requested_at.toISOString(),
        reason: leaving.reason,
        retainUntil: leaving.retain_until.toISOString(),
        exportReference: leaving.export_reference,
      },
      beforeRetentionEnded: erasure.before_retention_ended,
      beganAt: erasure.began_at.toISOString(),
      erasedAt: erasedAt.toISOString(),
      home: { server: facts.home.server, region: facts.home.region, model: facts.home.model },
      erased: facts.found.rows,
      removed: {
        ...removed,
        namespace: facts.home.model === 'pooled' ? null : facts.home.model,
        journalEntries: facts.journalEntries,
      },
      proof: facts.proof.map(({ server, tablesRead, rowsLeft }) => ({ server, tablesRead, rowsLeft })),
      remains: [
        ...(await inRegistry(central, tenantId)),
        ...exported(leaving),
        inStores(),
        ...steps.filter(({ leave }) => leave === undefined).map(outside),
        ...facts.proof.flatMap(({ kept }) => kept.map(keptTable)),
        ...facts.servers.visited.flatMap((server) => onServer(server, job, erasedAt)),
        ...facts.servers.notVisited.map(notVisited),
      ],
    }
    const sealed = sealCertificate(rootKey, certificate)
    const text = 'update rowhouse.erasure set certificate = $2, sha256 = $3, hmac = $4 where tenant_id = $1'
    await central.query(text, [tenantId, certificate, sealed.sha256, sealed.hmac])
    await central.query(
      `update rowhouse.tenant set state = 'erased', slug = 'erased-' || replace(id::text, '-', ''), name = 'erased', labels = '{}',
              plan = 'standard', ring = 'general', region = null, compliance = '{}', request = null where id = $1`,
      [tenantId],
    )
    return sealed
  })
}

async function one<Row extends object>(central: Runner, text: string, tenantId: string): Promise<Row> {
  return (await central.query<Row>(text, [tenantId])).rows[0] as Row
}

async function clearRegistry(central: Runner, tenantId: string, slug: string) {
  await central.query(
    `insert into rowhouse.tombstone (digest, kind)
     select rowhouse.tombstone_digest('slug', $2), 'slug'
     union all select rowhouse.tombstone_digest('domain', d.host), 'domain' from rowhouse.domain d where d.tenant_id = $1
     on conflict do nothing`,
    [tenantId, slug],
  )
  const clear = async (table: string) =>
    (await central.query(`delete from rowhouse.${table} where tenant_id = $1`, [tenantId])).rowCount ?? 0
  const domains = await clear('domain')
  const apiKeys = await clear('api_key')
  for (const table of ['suspension', 'fleet_home', 'resident', 'placement']) await clear(table)
  await central.query('update rowhouse.lifecycle_event set detail = null where tenant_id = $1', [tenantId])
  return { domains, apiKeys }
}

/** Rowhouse's own tables: what proves the erasure itself stays, and so does what other parts of it know of the tenant. */
async function inRegistry(central: Runner, tenantId: string): Promise<Remainder[]> {
  const tables = (await listTables(central, true)).filter(({ name }) => name !== 'offboarding')
  const counts = await countRows(central, tables, tenantId)
  const registry = 'central database, schema rowhouse'
  const whys: Readonly<Record<string, string>> = {
    erasure: 'this certificate, and who asked for it',
    lifecycle_event: 'who did what and when, without what they wrote',
    legal_hold: 'holds that were lifted, and by whom',
    backup_event: 'names of the backups that were made, so that they can be deleted where they are',
  }
  const rows = tables.flatMap(({ name }, n) =>
    counts[n] === 0
      ? []
      : [
          {
            what: `${counts[n]} rows of rowhouse.${name}`,
            where: registry,
            until: null,
            why: whys[name] ?? 'kept by its own rules',
          },
        ],
  )
  const text = 'select count(*)::int as entries from rowhouse.crossing where $1 = any (tenants)'
  const { entries } = await one<{ entries: number }>(central, text, tenantId)
  return [
    {
      what: 'id and state of the tenant',
      where: registry,
      until: null,
      why: 'so that its id is never given out again',
    },
    {
      what: 'digests of its slug and domains',
      where: registry,
      until: null,
      why: 'so that its names are never given out again',
    },
    ...rows,
    ...(entries === 0
      ? []
      : [
          {
            what: `${entries} rows of rowhouse.crossing`,
            where: registry,
            until: null,
            why: 'the log of work across tenants names its id',
          },
        ]),
    {
      what: 'the run that erased it',
      where: 'central database, schema rowhouse_journal',
      until: null,
      why: 'it names the id',
    },
  ]
}

function exported({ export_reference }: LeavingRow): Remainder[] {
  if (export_reference === null) return []
  return [
    { what: 'export', where: export_reference, until: null, why: 'made for the customer; whoever keeps it decides' },
  ]
}

/** The registry knows the names of those made here; what there is, each store knows itself. */
function inStores(): Remainder {
  return {
    what: 'backups of the tenant, if any were made',
    where: 'the stores they were written to',
    until: null,
    why: 'readable with the root key; delete them there',
  }
}

/** Nobody has said how to take it back. */
function outside({ name }: { readonly name: string }): Remainder {
  return {
    what: `what step "${name}" made, if anything`,
    where: 'outside of the database',
    until: null,
    why: 'the step has no "leave"',
  }
}

function keptTable({ server, schema, table, rows }: RowsFound): Remainder {
  return {
    what: `${rows} rows of ${schema}.${table}`,
    where: `server ${server}`,
    until: null,
    why: 'a table outside the walls, kept on demand',
  }
}

/** What no statement reaches. It grows old and is removed as the operator has arranged. */
function onServer(server: string, { keptDays }: EraseJob, erasedAt: Date): Remainder[] {
  const rest = (what: string, days: number | undefined): Remainder => ({
    what,
    where: `server ${server}`,
    until: days === undefined ? null : new Date(erasedAt.getTime() + days * DAY_MS).toISOString(),
    why: days === undefined ? 'as long as the operator keeps it' : `kept for ${days} days`,
  })
  return [
    rest('write-ahead log and its archives, replicas until they have replayed it', keptDays.writeAheadLogs),
    rest('physical backups', keptDays.physicalBackups),
    rest('logs of server and application', keptDays.logs),
  ]
}

function notVisited(server: string): Remainder {
  return {
    what: 'rows a move may have left behind',
    where: `server ${server}`,
    until: null,
    why: 'not looked through: it is down, or a Citus server',
  }
}
