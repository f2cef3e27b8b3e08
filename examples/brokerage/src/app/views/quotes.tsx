import type { FC } from 'hono/jsx'
import type { Market } from '../../domain/market.ts'
import type { Quote } from '../../domain/quotes.ts'
import { day, money } from '../format.ts'
import { Pill } from './parts.tsx'

export const QuotesPage: FC<{ quotes: readonly Quote[]; market: Market; currency: string }> = (page) => (
  <>
    <div class="head">
      <h1>Quotes</h1>
    </div>
    <div class="card">
      <h2>New quote</h2>
      <NewQuote market={page.market} />
    </div>
    <div class="card wide">
      <table>
        <thead>
          <tr>
            <th>Number</th>
            <th>Status</th>
            <th>Client</th>
            <th>Insurer</th>
            <th>Line</th>
            <th class="right">Premium</th>
            <th class="right">Valid until</th>
            <th />
          </tr>
        </thead>
        <tbody>
          {page.quotes.map((quote) => (
            <tr>
              <td class="nowrap">{quote.number}</td>
              <td>
                <Pill kind={quote.status} />
              </td>
              <td>{quote.client}</td>
              <td>{quote.carrier}</td>
              <td>{quote.line}</td>
              <td class="right nowrap">{money(quote.premium, page.currency)}</td>
              <td class="right nowrap">{day(quote.validUntil)}</td>
              <td>
                {quote.status === 'open' && (
                  <form method="post" action={`/quotes/${quote.id}/bind`}>
                    <button type="submit">Bind</button>
                  </form>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {page.quotes.length === 0 && <p class="soft">No quotes yet.</p>}
    </div>
  </>
)

const NewQuote: FC<{ market: Market }> = ({ market }) => (
  <form method="post" action="/quotes" class="inline">
    <input name="client" placeholder="Client, e.g. K00001" aria-label="Client" required />
    <select name="carrier" aria-label="Insurer">
      {market.carriers.map(({ code, name }) => (
        <option value={code}>{name}</option>
      ))}
    </select>
    <select name="line" aria-label="Line">
      {market.lines.map(({ code, name }) => (
        <option value={code}>{name}</option>
      ))}
    </select>
    <input name="premium" placeholder="Premium" inputmode="decimal" aria-label="Premium" required />
    <input name="validUntil" type="date" aria-label="Valid until" required />
    <button type="submit" class="main">
      Quote
    </button>
  </form>
)
