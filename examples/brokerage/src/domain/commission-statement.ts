import type { ScopedDb } from 'rowhouse'

/** What insurers owe for one month, insurer by insurer, and what of it has arrived. Amounts are exact, as text. */
export interface CommissionStatement {
  /** `2026-11`. */
  readonly month: string
  readonly rows: readonly StatementRow[]
  readonly total: Omit<StatementRow, 'code' | 'carrier'>
  /** Months there are statements for, newest first. */
  readonly months: readonly string[]
}

export interface StatementRow {
  readonly code: string
  readonly carrier: string
  readonly policies: number
  readonly premium: string
  readonly due: string
  readonly received: string
  readonly outstanding: string
}

const SUMS = `
  count(*)::int as policies, coalesce(sum(m.premium), 0)::text as premium, coalesce(sum(m.amount), 0)::text as due,
  coalesce(sum(m.amount) filter (where m.received_on is not null), 0)::text as received,
  coalesce(sum(m.amount) filter (where m.received_on is null), 0)::text as outstanding`

/** Reads the statement of a month. @param month  `2026-11` */
export async function readStatement(db: ScopedDb, month: string): Promise<CommissionStatement> {
  const first = [`${month}-01`]
  const [rows, total, months] = await Promise.all([
    db.many<StatementRow>(
      `select a.code, a.name as carrier, ${SUMS} from commission m join carrier a on a.code = m.carrier_code
        where m.month = $1 group by a.code, a.name order by a.name`,
      first,
    ),
    db.one<CommissionStatement['total']>(`select ${SUMS} from commission m where m.month = $1`, first),
    db.many<{ month: string }>(
      `select distinct to_char(month, 'YYYY-MM') as month from commission order by month desc limit 24`,
    ),
  ])
  return { month, rows, total, months: months.map((each) => each.month) }
}

/** Books the payment of an insurer for a month. Returns how many commissions it covered. */
export async function bookPayment(
  db: ScopedDb,
  { month, carrier, on }: { readonly month: string; readonly carrier: string; readonly on: string },
): Promise<number> {
  const { rowCount } = await db.query(
    'update commission set received_on = $3 where month = $1 and carrier_code = $2 and received_on is null',
    [`${month}-01`, carrier, on],
  )
  return rowCount ?? 0
}
