import type { FC } from 'hono/jsx'
import type { InvoiceFile, ShipmentFile } from '../../domain/shipment-file.ts'
import { count, day, label, moment, money } from '../format.ts'
import { Pill } from './parts.tsx'

export const ShipmentFilePage: FC<{ file: ShipmentFile; currency: string }> = ({ file, currency }) => {
  const { shipment } = file
  return (
    <>
      <div class="head">
        <div>
          <a href="/shipments" class="small">
            ← Shipments
          </a>
          <h1>
            {shipment.number} <Pill kind={shipment.status} />
          </h1>
          <span class="soft">
            {shipment.origin} → {shipment.destination}
          </span>
        </div>
        <span class="soft small">booked {moment(shipment.createdAt)}</span>
      </div>
      <div class="grid two" style="margin-top:0">
        <div class="grid">
          <Facts shipment={shipment} currency={currency} />
          {file.invoice && <Invoice invoice={file.invoice} />}
        </div>
        <div class="grid">
          <Timeline events={file.events} />
          <Legs legs={file.legs} />
          <Papers file={file} />
        </div>
      </div>
    </>
  )
}

const Facts: FC<{ shipment: ShipmentFile['shipment']; currency: string }> = ({ shipment, currency }) => {
  const facts: [string, string | null][] = [
    ['Customer', shipment.customer],
    ['Branch', shipment.branch],
    ['Mode', label(shipment.mode)],
    ['Air waybill', shipment.awb],
    ['Quote', shipment.quote],
    ['Goods', shipment.goods],
    ['Packages', `${count(shipment.packages)}, ${count(shipment.weightKg)} kg`],
    ['Freight', money(shipment.freight, currency)],
    ['Expected', day(shipment.eta)],
    ['Booked by', shipment.createdBy],
  ]
  return (
    <div class="card">
      <h2>Shipment</h2>
      <dl>
        {facts.map(
          ([name, value]) =>
            value !== null && (
              <>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </>
            ),
        )}
      </dl>
    </div>
  )
}

const Timeline: FC<{ events: ShipmentFile['events'] }> = ({ events }) => (
  <div class="card">
    <h2>Tracking</h2>
    {events.length === 0 && <span class="soft">In the archive: tracking is kept for newer shipments.</span>}
    <ol class="line">
      {events.map(({ kind, place, at }) => (
        <li>
          {label(kind)} <span class="soft">· {place}</span>
          <div class="soft small">{moment(at)}</div>
        </li>
      ))}
    </ol>
  </div>
)

const Legs: FC<{ legs: ShipmentFile['legs'] }> = ({ legs }) => {
  if (legs.length === 0) return null
  return (
    <div class="card">
      <h2>Legs</h2>
      <div class="wide">
        <table>
          <tbody>
            {legs.map((leg) => (
              <tr>
                <td>
                  {leg.origin} → {leg.destination}
                  <div class="soft small">
                    {leg.carrier}, {leg.mode}
                  </div>
                </td>
                <td class="right small nowrap">
                  {day(leg.departsAt)}
                  <div class="soft">{day(leg.arrivesAt)}</div>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  )
}

const Papers: FC<{ file: ShipmentFile }> = ({ file }) => {
  if (file.documents.length + file.containers.length === 0) return null
  return (
    <div class="card">
      <h2>Documents and containers</h2>
      <table>
        <tbody>
          {file.documents.map(({ kind, number, issuedAt }) => (
            <tr>
              <td>{label(kind)}</td>
              <td>{number}</td>
              <td class="right soft small nowrap">{day(issuedAt)}</td>
            </tr>
          ))}
          {file.containers.map(({ kind, number, sealNumber, grossKg }) => (
            <tr>
              <td>Container {kind}</td>
              <td>
                {number} <span class="soft small">seal {sealNumber}</span>
              </td>
              <td class="right soft small nowrap">{count(grossKg)} kg</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const Invoice: FC<{ invoice: InvoiceFile }> = ({ invoice }) => (
  <div class="card">
    <h2>
      Invoice {invoice.number} <Pill kind={invoice.status} />
    </h2>
    <table>
      <tbody>
        {invoice.lines.map(({ description, net }) => (
          <tr>
            <td>{description}</td>
            <td class="right">{money(net, invoice.currency)}</td>
          </tr>
        ))}
        <tr>
          <td class="soft">VAT {Number(invoice.vatRate)} %</td>
          <td class="right">{money(invoice.vat, invoice.currency)}</td>
        </tr>
        <tr>
          <td>
            <b>Total</b> <span class="soft small">due {day(invoice.dueOn)}</span>
          </td>
          <td class="right">
            <b>{money(invoice.total, invoice.currency)}</b>
          </td>
        </tr>
      </tbody>
    </table>
  </div>
)
