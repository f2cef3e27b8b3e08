import type { FC } from 'hono/jsx'
import {
  SHIPMENT_STATUSES,
  type ShipmentFilter,
  type ShipmentPage,
  type ShipmentSummary,
} from '../../domain/shipment-list.ts'
import { count, day, label } from '../format.ts'
import { Pages, Pill } from './parts.tsx'

export const ShipmentsPage: FC<{ list: ShipmentPage; filter: ShipmentFilter }> = ({ list, filter }) => (
  <>
    <div class="head">
      <h1>Shipments</h1>
      <form class="inline" method="get">
        <input
          class="grow"
          type="search"
          name="q"
          value={filter.search ?? ''}
          placeholder="Number or customer"
          aria-label="Search"
        />
        <select name="status" aria-label="Status">
          <option value="">Every status</option>
          {SHIPMENT_STATUSES.map((status) => (
            <option value={status} selected={status === filter.status}>
              {label(status)}
            </option>
          ))}
        </select>
        <button type="submit" class="main">
          Filter
        </button>
      </form>
    </div>
    <div class="card">
      <ShipmentTable shipments={list.shipments} />
      <Pages {...list} query={queryOf(filter)} />
    </div>
  </>
)

export const ShipmentTable: FC<{ shipments: readonly ShipmentSummary[] }> = ({ shipments }) => (
  <div class="wide">
    <table>
      <thead>
        <tr>
          <th>Number</th>
          <th>Status</th>
          <th>Customer</th>
          <th>Route</th>
          <th>Branch</th>
          <th class="right">Weight</th>
          <th class="right">Expected</th>
        </tr>
      </thead>
      <tbody>
        {shipments.map((shipment) => (
          <tr>
            <td class="nowrap">
              <a href={`/shipments/${shipment.id}`}>{shipment.number}</a>
            </td>
            <td>
              <Pill kind={shipment.status} />
            </td>
            <td>{shipment.customer}</td>
            <td>
              {shipment.origin} → {shipment.destination} <span class="soft small">{shipment.mode}</span>
            </td>
            <td class="nowrap">{shipment.branch}</td>
            <td class="right nowrap">{count(shipment.weightKg)} kg</td>
            <td class="right nowrap">{day(shipment.eta)}</td>
          </tr>
        ))}
      </tbody>
    </table>
    {shipments.length === 0 && <p class="soft">Nothing here matches.</p>}
  </div>
)

function queryOf({ status, search }: ShipmentFilter): Record<string, string> {
  return { ...(status === undefined ? {} : { status }), ...(search === undefined ? {} : { q: search }) }
}
