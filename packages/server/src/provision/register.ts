import type pg from 'pg'
import { TenantError, type TenantId } from 'rowhouse'
import { choosePlacement, type PlacementChoice } from '../placing/choose-placement.ts'
import type { CompiledRules } from '../placing/compile-rules.ts'
import type { Model } from '../placing/placement-rules.ts'
import { homeName } from '../registry/home-name.ts'
import { CENTRAL, type HomeAddress, type OperatorConnections } from '../registry/operator-connections.ts'
import { listServers } from '../registry/servers.ts'
import { type ProvisioningJob, toPlace } from './provisioning-request.ts'

/** Which tenant is being made, and where. */
export interface ChosenHome extends HomeAddress {
  readonly tenantId: TenantId
  /** True when it was made in advance: its tables are there. */
  readonly claimed: boolean
  readonly model: Model
  readonly region: string
  /** Why there, for people. */
  readonly why: string
}

/** One at a time: between counting tenants and entering one nobody else may take the last place. */
export const PLACING_LOCK = 7_262_374_402

const FIRST_KEY_VERSION = 1

/**
 * Chooses a home and enters tenant and placement into the registry, in one transaction. From here on everything made for
 * the tenant belongs to a row of the registry.
 *
 * @throws {TenantError} `ERR_TENANT_SLUG_TAKEN`
 * @throws {PlacementError} `ERR_PLACEMENT_IMPOSSIBLE`, `ERR_PLACEMENT_RULE_FAILED`
 */
export function register(
  connections: OperatorConnections,
  rules: CompiledRules,
  job: ProvisioningJob,
): Promise<ChosenHome> {
  return connections.transact(CENTRAL, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [PLACING_LOCK])
    const known = await findRegistered(client, job)
    if (known !== undefined) return known
    const servers = await listServers(client)
    const choice = choosePlacement(rules, { tenant: toPlace(job), operator: job.wish }, servers)
    const claimed = choice.standby && !job.forStandby ? await claim(client, job, choice) : undefined
    if (claimed !== undefined) return claimed
    const home = toHome(job, choice)
    const tenant = `insert into rowhouse.tenant (id, slug, name, state, plan, ring, labels, request, region, compliance) values ($1, $2, $3, 'provisioning', $4, $5, $6, $7, nullif($8, ''), $9)`
    await client.query(tenant, [job.tenantId, ...factsOf(job)]).catch((error) => {
      throw explainTaken(error, job.slug)
    })
    await client.query(
      'insert into rowhouse.placement (tenant_id, server, model, database_name, schema_name, key_version) values ($1, $2, $3, $4, $5, $6)',
      [job.tenantId, home.server, home.model, home.database ?? null, home.schema ?? null, FIRST_KEY_VERSION],
    )
    return home
  })
}

/** What the registry keeps of a request, in the order in which both statements name it. */
function factsOf(job: ProvisioningJob): unknown[] {
  const { slug, name, plan, ring, labels, idempotencyKey, region, compliance } = job
  return [slug, name, plan, ring, labels, idempotencyKey, region, compliance]
}

/** Takes tenant and placement out again; nobody ever saw them. */
export function unregister(connections: OperatorConnections, home: ChosenHome): Promise<void> {
  return connections.transact(CENTRAL, async (client) => {
    await client.query(`delete from rowhouse.tenant where id = $1 and state in ('provisioning', 'failed')`, [
      home.tenantId,
    ])
  })
}

/** Takes a tenant that was made in advance; undefined when none is waiting on this server. */
async function claim(
  client: pg.PoolClient,
  job: ProvisioningJob,
  choice: PlacementChoice,
): Promise<ChosenHome | undefined> {
  const { rows } = await client
    .query<RegisteredHome>(
      `update rowhouse.tenant t set slug = $3, name = $4, state = 'provisioning', plan = $5, ring = $6, labels = $7, request = $8,
              region = nullif($9, ''), compliance = $10
         from rowhouse.placement p
        where p.tenant_id = t.id and t.id = (
          select w.id from rowhouse.tenant w join rowhouse.placement q on q.tenant_id = w.id
           where w.state = 'standby' and q.server = $1 and q.model = $2 order by w.created_at limit 1 for update of w skip locked)
        returning t.id, t.slug, t.state, p.server, p.model, p.database_name, p.schema_name`,
      [choice.server, choice.model, ...factsOf(job)],
    )
    .catch((error) => {
      throw explainTaken(error, job.slug)
    })
  return rows[0] && fromRow({ ...rows[0], region: choice.region }, true, choice.why)
}

interface RegisteredHome {
  readonly id: TenantId
  readonly slug: string
  readonly state: string
  readonly server: string
  readonly model: Model
  readonly database_name: string | null
  readonly schema_name: string | null
  readonly region: string
}

/** The run was killed between the transaction and the journal's note of it, or is resumed after it had failed. */
async function findRegistered(client: pg.PoolClient, job: ProvisioningJob): Promise<ChosenHome | undefined> {
  const { rows } = await client.query<RegisteredHome>(
    `select t.id, t.slug, t.state, p.server, p.model, p.database_name, p.schema_name, s.region
       from rowhouse.tenant t join rowhouse.placement p on p.tenant_id = t.id join rowhouse.server s on s.name = p.server
      where t.request = $1`,
    [job.idempotencyKey],
  )
  const [row] = rows
  if (row === undefined) return undefined
  if (row.slug !== job.slug) {
    throw new TenantError(
      'ERR_IDEMPOTENCY_KEY_REUSED',
      `Cannot provision tenant "${job.slug}": its idempotency key belongs to the request for "${row.slug}"; use another key`,
    )
  }
  if (row.state === 'failed')
    await client.query(`update rowhouse.tenant set state = 'provisioning' where id = $1`, [row.id])
  return fromRow(row, row.id !== job.tenantId, 'resumed')
}

function fromRow(row: RegisteredHome, claimed: boolean, why: string): ChosenHome {
  const { id: tenantId, server, model, region, database_name, schema_name } = row
  return {
    tenantId,
    claimed,
    server,
    model,
    region,
    database: database_name ?? undefined,
    schema: schema_name ?? undefined,
    why,
  }
}

function toHome(job: ProvisioningJob, { server, model, region, why }: PlacementChoice): ChosenHome {
  const own = homeName(job.tenantId)
  return {
    tenantId: job.tenantId,
    claimed: false,
    server,
    model,
    region,
    why,
    database: model === 'database' ? own : undefined,
    schema: model === 'schema' ? own : undefined,
  }
}

function explainTaken(error: unknown, slug: string): unknown {
  if ((error as { constraint?: unknown }).constraint !== 'tenant_slug_key') return error
  return new TenantError(
    'ERR_TENANT_SLUG_TAKEN',
    `Cannot name a tenant "${slug}": the slug is taken; choose another one`,
    {
      cause: error,
    },
  )
}
