import type { FC } from 'hono/jsx'
import { type Overview, RENEWAL_DAYS } from '../../domain/overview.ts'
import { count, day, money } from '../format.ts'
import { Figure } from './parts.tsx'

export const OverviewPage: FC<{ overview: Overview; currency: string }> = ({ overview, currency }) => (
  <>
    <div class="head">
      <h1>Overview</h1>
    </div>
    <div class="grid kpis">
      <Figure value={count(overview.clients)}>clients</Figure>
      <Figure value={count(overview.policies)}>policies in force</Figure>
      <Figure value={money(overview.premium, currency)}>premium in force</Figure>
      <Figure value={count(overview.openQuotes)}>open quotes</Figure>
      <Figure value={money(overview.due, currency)}>
        commission of this month, {money(overview.received, currency)} received
      </Figure>
    </div>
    <div class="card">
      <h2>To renew within {RENEWAL_DAYS} days</h2>
      <table>
        <tbody>
          {overview.renewals.map((renewal) => (
            <tr>
              <td class="nowrap">
                <a href={`/policies/${renewal.id}`}>{renewal.number}</a>
              </td>
              <td>{renewal.client}</td>
              <td>{renewal.line}</td>
              <td class="right nowrap">{money(renewal.premium, currency)}</td>
              <td class="right nowrap">{day(renewal.endsOn)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {overview.renewals.length === 0 && <p class="soft">Nothing to renew.</p>}
    </div>
  </>
)
