import type { ScopedDb } from 'rowhouse'
import { MAX_PAGE, PAGE_SIZE } from './page.ts'

export const POLICY_STATUSES = ['in_force', 'lapsed', 'cancelled'] as const
export type PolicyStatus = (typeof POLICY_STATUSES)[number]

export interface PolicyFilter {
  readonly status?: PolicyStatus | undefined
  /** Part of a number, or the beginning of a client's name. */
  readonly search?: string | undefined
  /** From 1. */
  readonly page: number
}

export interface Policy {
  readonly id: string
  readonly number: string
  readonly status: PolicyStatus
  readonly client: string
  readonly carrier: string
  readonly line: string
  readonly premium: string
  readonly startsOn: string
  readonly endsOn: string
}

export interface PolicyPage {
  readonly policies: readonly Policy[]
  readonly total: number
  readonly page: number
  readonly pages: number
}

const COLUMNS = `
  p.id, p.number, p.status, c.name as client, a.name as carrier, l.name as line, p.premium,
  p.starts_on::text as "startsOn", p.ends_on::text as "endsOn"`

const NAMES = `
  join client c on c.tenant_id = p.tenant_id and c.id = p.client_id
  join carrier a on a.code = p.carrier_code join line l on l.code = p.line_code`

const MATCHES = `
  ($1::text is null or p.status = $1)
  and ($2::text is null or strpos(lower(p.number), lower($2)) > 0 or starts_with(lower(c.name), lower($2)))`

/** Lists policies by their end, latest first. No condition names a tenant: the database adds it. */
export async function listPolicies(db: ScopedDb, { status, search, page }: PolicyFilter): Promise<PolicyPage> {
  const values = [status ?? null, search ?? null]
  const [policies, { total }] = await Promise.all([
    db.many<Policy>(
      `select ${COLUMNS} from policy p ${NAMES} where ${MATCHES}
       order by p.ends_on desc, p.number desc limit ${PAGE_SIZE} offset $3`,
      [...values, (page - 1) * PAGE_SIZE],
    ),
    db.one<{ total: number }>(`select count(*)::int as total from policy p ${NAMES} where ${MATCHES}`, values),
  ])
  return { policies, total, page, pages: Math.min(MAX_PAGE, Math.max(1, Math.ceil(total / PAGE_SIZE))) }
}

export interface PolicyFile {
  readonly policy: Policy
  readonly commissions: readonly {
    readonly kind: 'new' | 'renewal'
    readonly month: string
    readonly percent: string
    readonly amount: string
    readonly receivedOn: string | null
  }[]
  readonly documents: readonly { readonly kind: string; readonly name: string; readonly createdAt: Date }[]
}

/** Returns a policy with its papers and what was earned with it; another broker's policy is not found. */
export async function findPolicyFile(db: ScopedDb, id: string): Promise<PolicyFile | undefined> {
  const [policy, commissions, documents] = await Promise.all([
    db.maybeOne<Policy>(`select ${COLUMNS} from policy p ${NAMES} where p.id = $1`, [id]),
    db.many<PolicyFile['commissions'][number]>(
      `select kind, month::text, percent, amount, received_on::text as "receivedOn"
         from commission where policy_id = $1 order by month`,
      [id],
    ),
    db.many<PolicyFile['documents'][number]>(
      'select kind, name, created_at as "createdAt" from document where policy_id = $1 order by kind',
      [id],
    ),
  ])
  return policy && { policy, commissions, documents }
}
