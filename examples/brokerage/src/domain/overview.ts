import type { ScopedDb } from 'rowhouse'

export interface Overview {
  readonly clients: number
  readonly policies: number
  readonly premium: string
  readonly openQuotes: number
  /** Due this month, and what of it has arrived. */
  readonly due: string
  readonly received: string
  readonly renewals: readonly Renewal[]
}

export interface Renewal {
  readonly id: string
  readonly number: string
  readonly client: string
  readonly line: string
  readonly premium: string
  readonly endsOn: string
}

/** Days before its end in which a policy is on the list of renewals. */
export const RENEWAL_DAYS = 60

/** Reads the first page of the running broker. No query names a tenant. */
export async function loadOverview(db: ScopedDb): Promise<Overview> {
  const [figures, renewals] = await Promise.all([
    db.one<Omit<Overview, 'renewals'>>(FIGURES),
    db.many<Renewal>(RENEWALS),
  ])
  return { ...figures, renewals }
}

const FIGURES = `
  select (select count(*)::int from client) as clients, p.policies, p.premium,
         (select count(*)::int from quote where status = 'open') as "openQuotes", c.due, c.received
    from (select count(*)::int as policies, coalesce(sum(premium), 0)::text as premium from policy where status = 'in_force') p,
         (select coalesce(sum(amount), 0)::text as due, coalesce(sum(amount) filter (where received_on is not null), 0)::text as received
            from commission where month = date_trunc('month', current_date)::date) c`

const RENEWALS = `
  select p.id, p.number, c.name as client, l.name as line, p.premium, p.ends_on::text as "endsOn"
    from policy p
    join client c on c.tenant_id = p.tenant_id and c.id = p.client_id
    join line l on l.code = p.line_code
   where p.status = 'in_force' and p.ends_on between current_date and current_date + ${RENEWAL_DAYS}
   order by p.ends_on, p.number limit 10`
