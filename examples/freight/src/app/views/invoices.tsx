import type { FC } from 'hono/jsx'
import type { InvoicePage } from '../../domain/invoice-list.ts'
import { day, money } from '../format.ts'
import { Pages, Pill } from './parts.tsx'

export const InvoicesPage: FC<{ list: InvoicePage }> = ({ list }) => (
  <>
    <div class="head">
      <h1>Invoices</h1>
    </div>
    <div class="card">
      <div class="wide">
        <table>
          <thead>
            <tr>
              <th>Number</th>
              <th>Status</th>
              <th>Customer</th>
              <th>Shipment</th>
              <th class="right">Net</th>
              <th class="right">VAT</th>
              <th class="right">Total</th>
              <th class="right">Due</th>
            </tr>
          </thead>
          <tbody>
            {list.invoices.map((invoice) => (
              <tr>
                <td class="nowrap">{invoice.number}</td>
                <td>
                  <Pill kind={invoice.status} />
                </td>
                <td>{invoice.customer}</td>
                <td class="nowrap">
                  <a href={`/shipments/${invoice.shipmentId}`}>{invoice.shipment}</a>
                </td>
                <td class="right nowrap">{money(invoice.net, invoice.currency)}</td>
                <td class="right nowrap">{money(invoice.vat, invoice.currency)}</td>
                <td class="right nowrap">{money(invoice.total, invoice.currency)}</td>
                <td class="right nowrap">{day(invoice.dueOn)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Pages {...list} query={{}} />
    </div>
  </>
)
