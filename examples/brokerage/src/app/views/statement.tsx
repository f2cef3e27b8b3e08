import type { FC } from 'hono/jsx'
import type { CommissionStatement } from '../../domain/commission-statement.ts'
import { count, money, monthName } from '../format.ts'

export const StatementPage: FC<{ statement: CommissionStatement; currency: string }> = ({ statement, currency }) => (
  <>
    <div class="head">
      <h1>Commissions of {monthName(statement.month)}</h1>
      <form class="inline" method="get">
        <select name="month" aria-label="Month">
          {[...new Set([statement.month, ...statement.months])].map((month) => (
            <option value={month} selected={month === statement.month}>
              {monthName(month)}
            </option>
          ))}
        </select>
        <button type="submit" class="main">
          Show
        </button>
      </form>
    </div>
    <div class="card wide">
      <table>
        <thead>
          <tr>
            <th>Insurer</th>
            <th class="right">Policies</th>
            <th class="right">Premium</th>
            <th class="right">Due</th>
            <th class="right">Received</th>
            <th class="right">Outstanding</th>
            <th />
          </tr>
        </thead>
        <tbody>
          {statement.rows.map((row) => (
            <tr>
              <td>{row.carrier}</td>
              <Sums row={row} currency={currency} />
              <td>
                {Number(row.outstanding) > 0 && (
                  <form method="post" action="/commissions/received">
                    <input type="hidden" name="month" value={statement.month} />
                    <button type="submit" name="carrier" value={row.code}>
                      Paid
                    </button>
                  </form>
                )}
              </td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <td>All insurers</td>
            <Sums row={statement.total} currency={currency} />
            <td />
          </tr>
        </tfoot>
      </table>
    </div>
  </>
)

const Sums: FC<{ row: CommissionStatement['total']; currency: string }> = ({ row, currency }) => (
  <>
    <td class="right">{count(row.policies)}</td>
    <td class="right nowrap">{money(row.premium, currency)}</td>
    <td class="right nowrap">{money(row.due, currency)}</td>
    <td class="right nowrap">{money(row.received, currency)}</td>
    <td class="right nowrap">{money(row.outstanding, currency)}</td>
  </>
)
