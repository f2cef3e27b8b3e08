import { isTenantId, type TenantState } from 'rowhouse'
import type { RootKey } from 'rowhouse/install'
import type { OperatorConnections } from '../registry/operator-connections.ts'
import type { SealedCertificate } from './certificate.ts'
import { type Runner, requireTenant } from './find-tenant.ts'
import { readCertificate } from './finish-erasure.ts'
import {
  confirmLift,
  type LegalHold,
  type LiftRequest,
  listHolds,
  placeHold,
  requestLift,
  withdrawLift,
} from './legal-hold.ts'
import { cancelOffboarding } from './offboard.ts'
import { type RegionChange, setRegion } from './set-region.ts'
import { resumeTenant, type SuspendRequest, setPlan, suspendTenant } from './suspend.ts'

/** What the registry says of a tenant's life. */
export interface LifecycleFacts {
  readonly tenantId: string
  readonly slug: string
  readonly state: TenantState
  readonly plan: string
  /** Region its data may not leave; undefined for any. */
  readonly region: string | undefined
  /** Region of the server it lives on; undefined once it is erased. */
  readonly livesIn: string | undefined
  readonly suspension:
    | { readonly kind: string; readonly cause: string; readonly by: string; readonly since: Date }
    | undefined
  readonly offboarding:
    | {
        readonly reason: string
        readonly by: string
        readonly since: Date
        readonly exportReference: string | undefined
        /** Undefined while the export has not ended. */
        readonly retainUntil: Date | undefined
      }
    | undefined
  /** Holds that are not lifted. */
  readonly holds: readonly LegalHold[]
}

/**
 * The life of tenants, as far as it takes no journal. A tenant is named by slug or id.
 *
 * Besides what each method says: `ERR_TENANT_NOT_FOUND`, `ERR_TENANT_STATE` for a tenant in another state than is wanted,
 * `ERR_CAUSE_INVALID` for a reason, a kind or a person that is none.
 */
export interface Lifecycle {
  show(tenant: string): Promise<LifecycleFacts>
  /**
   * Refuses every statement of the tenant within a second, in the database it lives in: also those of processes that do not
   * know yet, and of sessions that are open.
   */
  suspend(tenant: string, request: SuspendRequest): Promise<LifecycleFacts>
  resume(tenant: string, request: { readonly by: string }): Promise<LifecycleFacts>
  /** Changes the plan; nothing else of the tenant changes. */
  setPlan(tenant: string, request: { readonly plan: string; readonly by: string }): Promise<LifecycleFacts>
  /**
   * Changes the region its data may not leave; moves nothing. Refused while a move of it has not ended, and for a region no
   * server is in.
   */
  setRegion(tenant: string, change: RegionChange): Promise<LifecycleFacts>
  /** Takes a tenant back that was offboarding; it is suspended then. Refused once it is being erased. */
  cancelOffboarding(tenant: string, request: { readonly reason: string; readonly by: string }): Promise<LifecycleFacts>
  /** Places a legal hold: nothing erases the tenant until two people lift it. */
  hold(tenant: string, request: { readonly reason: string; readonly by: string }): Promise<LegalHold>
  requestLift(tenant: string, request: LiftRequest & { readonly reason: string }): Promise<LegalHold>
  withdrawLift(tenant: string, request: LiftRequest): Promise<LegalHold>
  /** @throws {AccessError} `ERR_SAME_PERSON` for who asked for it */
  confirmLift(tenant: string, request: LiftRequest): Promise<LegalHold>
  /** Returns the certificate of a tenant that is erased, by its id. */
  certificate(tenantId: string): Promise<SealedCertificate | undefined>
}

export function createLifecycle(connections: OperatorConnections, rootKey: RootKey): Lifecycle {
  const doors = { connections, rootKey }
  const show = (tenant: string) => readFacts(connections.central, tenant)
  const thenShow =
    <Request>(change: (tenant: string, request: Request) => Promise<void>) =>
    async (tenant: string, request: Request) => {
      await change(tenant, request)
      return show(tenant)
    }
  return {
    show,
    suspend: thenShow((tenant, request) => suspendTenant(doors, tenant, request)),
    resume: thenShow((tenant, request) => resumeTenant(doors, tenant, request)),
    setPlan: thenShow((tenant, request) => setPlan(doors, tenant, request)),
    setRegion: thenShow((tenant, change: RegionChange) => setRegion(connections, tenant, change)),
    cancelOffboarding: thenShow((tenant, request) => cancelOffboarding(doors, tenant, request)),
    hold: (tenant, request) => placeHold(connections, tenant, request),
    requestLift: (tenant, request) => requestLift(connections, tenant, request),
    withdrawLift: (tenant, request) => withdrawLift(connections, tenant, request),
    confirmLift: (tenant, request) => confirmLift(connections, tenant, request),
    certificate: async (tenantId) =>
      isTenantId(tenantId) ? readCertificate(connections.central, tenantId) : undefined,
  }
}

interface FactsRow {
  readonly region: string | null
  readonly kind: string | null
  readonly cause: string
  readonly suspended_by: string
  readonly since: Date
  readonly run: string | null
  readonly reason: string
  readonly requested_by: string
  readonly requested_at: Date
  readonly export_reference: string | null
  readonly retain_until: Date | null
}

const FACTS = `
  select t.region, s.kind, s.cause, s.suspended_by, s.since, o.run, o.reason, o.requested_by, o.requested_at, o.export_reference, o.retain_until
    from rowhouse.tenant t left join rowhouse.suspension s on s.tenant_id = t.id left join rowhouse.offboarding o on o.tenant_id = t.id
   where t.id = $1`

async function readFacts(central: Runner, name: string): Promise<LifecycleFacts> {
  const { id: tenantId, slug, state, plan, home } = await requireTenant(central, name, `show tenant "${name}"`)
  const { rows } = await central.query<FactsRow>(FACTS, [tenantId])
  const row = rows[0] as FactsRow
  const { kind, cause, suspended_by, since, run, reason, requested_by, requested_at, export_reference } = row
  const holds = (await listHolds(central, tenantId)).filter(({ liftedAt }) => liftedAt === undefined)
  return {
    tenantId,
    slug,
    state,
    plan,
    region: row.region ?? undefined,
    livesIn: home?.region,
    suspension: kind === null ? undefined : { kind, cause, by: suspended_by, since },
    offboarding:
      run === null
        ? undefined
        : {
            reason,
            by: requested_by,
            since: requested_at,
            exportReference: export_reference ?? undefined,
            retainUntil: row.retain_until ?? undefined,
          },
    holds,
  }
}
