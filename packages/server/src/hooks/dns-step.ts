import type { ProvisioningStep, StepContext, StepTenant } from '../provision/step.ts'
import { requireStepName } from '../provision/step.ts'
import type { DnsProvider, DnsRecord, DnsTarget, DnsType } from './dns-provider.ts'
import { entriesOf, haveSameValues, ownerMark, requireDnsTarget, requireHostName } from './dns-provider.ts'

export interface DnsStepOptions {
  readonly provider: DnsProvider
  /** Domain below which every tenant gets its name, e.g. `app.example.com`; may lie inside of the provider's zone. */
  readonly zone: string
  /** Where all names point: the edge in front of the application. */
  readonly target: DnsTarget
  /** How long resolvers may keep the answer, 1–86 400 seconds. @defaultValue 300 */
  readonly ttlSeconds?: number
  /** Name in the journal. @defaultValue 'dns' */
  readonly name?: string
}

const DEFAULT_TTL_SECONDS = 300
const TARGET_TYPES: readonly DnsType[] = ['A', 'AAAA', 'CNAME']

/**
 * Gives a new tenant its name in DNS: `<slug>.<zone>`, marked as the tenant's own.
 *
 * `do` never overwrites a name that somebody else made, `undo` and `leave` remove only what carries the tenant's mark.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a zone or a target that cannot stand in DNS
 * @throws {TypeError} for a name that cannot name a step
 * @example
 * ```ts
 * import { Secret } from 'rowhouse'
 * import { dnsStep, rfc2136Provider } from 'rowhouse-server'
 * const secret = new Secret('c2l4dGVlbiBieXRlcyBvciBtb3JlIG9mIGtleQ==')
 * const provider = rfc2136Provider({ host: 'ns1.example.com', zone: 'example.com', key: { name: 'rowhouse', secret } })
 * const step = dnsStep({ provider, zone: 'app.example.com', target: { cname: 'edge.example.com' } })
 * console.assert(step.name === 'dns')
 * ```
 */
export function dnsStep(options: DnsStepOptions): ProvisioningStep {
  const { provider, ttlSeconds = DEFAULT_TTL_SECONDS } = options
  const zone = requireHostName(options.zone)
  const target = requireDnsTarget(options.target)
  const recordOf = ({ id, slug }: StepTenant): DnsRecord => ({
    name: requireHostName(`${slug}.${zone}`),
    target,
    ttlSeconds,
    owner: id,
  })
  const remove = async ({ tenant, signal, log }: StepContext) => {
    const record = recordOf(tenant)
    const removed = await provider.remove(record, signal)
    if (!removed) log.info({ tenantId: tenant.id, name: record.name }, 'name in DNS left alone: not the tenant’s')
  }
  return {
    name: requireStepName(options.name ?? 'dns'),
    check: ({ tenant, signal }) => isInPlace(provider, recordOf(tenant), signal),
    do: ({ tenant, signal }) => provider.upsert(recordOf(tenant), signal),
    undo: remove,
    leave: remove,
  }
}

async function isInPlace(provider: DnsProvider, record: DnsRecord, signal: AbortSignal): Promise<boolean> {
  const mark = ownerMark(record.name, record.owner)
  if (!haveSameValues([mark.value], await provider.lookup(mark.name, mark.type, signal))) return false
  const wanted = entriesOf(record)
  for (const type of TARGET_TYPES) {
    const values = wanted.filter((entry) => entry.type === type).map(({ value }) => value)
    if (!haveSameValues(values, await provider.lookup(record.name, type, signal))) return false
  }
  return true
}
