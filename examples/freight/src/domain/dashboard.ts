import type { ScopedDb } from 'rowhouse'

/** One branch at a glance; money includes VAT at the tenant's rate and covers the last 30 days. */
export interface BranchFigures {
  readonly code: string
  readonly name: string
  readonly open: number
  readonly customs: number
  readonly delivered: number
  readonly revenue: number
  readonly overdue: number
}

export interface Dashboard {
  /** Branches the visitor may see. */
  readonly branches: readonly BranchFigures[]
  /** Invoiced per week including VAT, oldest first, eight weeks. */
  readonly weeks: readonly { readonly starts: string; readonly revenue: number }[]
}

/** Reads the figures of the running tenant. No query names a tenant or a branch. */
export async function loadDashboard(db: ScopedDb): Promise<Dashboard> {
  const [branches, weeks] = await Promise.all([
    db.many<BranchFigures>(FIGURES),
    db.many<Dashboard['weeks'][number]>(WEEKS),
  ])
  return { branches, weeks }
}

/** A branch without rows is one the visitor may not see, or that has not begun: both stay away. */
const FIGURES = `
  with traffic as (
    select unit_id,
           count(*) filter (where status <> 'delivered')::int as open,
           count(*) filter (where status = 'customs')::int as customs,
           count(*) filter (where status = 'delivered')::int as delivered
    from shipment
    where status in ('booked', 'in_transit', 'customs')
       or (status = 'delivered' and created_at > now() - interval '30 days')
    group by unit_id
  ), money as (
    select unit_id,
           coalesce(sum(total) filter (where issued_at > now() - interval '30 days'), 0)::float8 as revenue,
           coalesce(sum(total) filter (where status = 'overdue'), 0)::float8 as overdue
    from invoice
    where issued_at > now() - interval '30 days' or status = 'overdue'
    group by unit_id
  )
  select b.code, b.name, coalesce(t.open, 0) as open, coalesce(t.customs, 0) as customs,
         coalesce(t.delivered, 0) as delivered, coalesce(m.revenue, 0) as revenue, coalesce(m.overdue, 0) as overdue
  from branch b
  left join traffic t on t.unit_id = b.id
  left join money m on m.unit_id = b.id
  where t.unit_id is not null or m.unit_id is not null
  order by t.open desc nulls last, b.code`

const WEEKS = `
  select to_char(w.starts, 'DD Mon') as starts, coalesce(sum(i.total), 0)::float8 as revenue
  from generate_series(date_trunc('week', now()) - interval '7 weeks', date_trunc('week', now()), interval '1 week') w (starts)
  left join invoice i on i.issued_at >= w.starts and i.issued_at < w.starts + interval '1 week'
  group by w.starts order by w.starts`
