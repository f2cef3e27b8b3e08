import type { FC } from 'hono/jsx'
import type { Company } from '../../domain/company.ts'
import type { BranchFigures, Dashboard } from '../../domain/dashboard.ts'
import type { ShipmentSummary } from '../../domain/shipment-list.ts'
import { count, money, roundMoney } from '../format.ts'
import { Figure } from './parts.tsx'
import { ShipmentTable } from './shipments.tsx'

interface DashboardProps {
  readonly company: Company
  readonly figures: Dashboard
  readonly newest: readonly ShipmentSummary[]
}

export const DashboardPage: FC<DashboardProps> = ({ company, figures, newest }) => {
  const sum = (pick: (branch: BranchFigures) => number) =>
    figures.branches.reduce((total, each) => total + pick(each), 0)
  const revenue = sum((branch) => branch.revenue)
  const overdue = sum((branch) => branch.overdue)
  return (
    <>
      <div class="head">
        <h1>Dashboard</h1>
        <span class="soft small">
          {company.currency}, VAT {company.vatRate} %
        </span>
      </div>
      <div class="grid kpis">
        <Figure value={count(sum(({ open }) => open))}>open shipments</Figure>
        <Figure value={count(sum(({ customs }) => customs))}>of them in customs</Figure>
        <Figure value={count(sum(({ delivered }) => delivered))}>booked and delivered in 30 days</Figure>
        <Figure value={roundMoney(revenue, company.currency)}>
          invoiced in 30 days, incl. {company.vatRate} % VAT
        </Figure>
        <Figure value={roundMoney(overdue, company.currency)}>overdue</Figure>
      </div>
      <div class="grid two">
        <Branches branches={figures.branches} currency={company.currency} />
        <Weeks weeks={figures.weeks} currency={company.currency} />
      </div>
      <div class="card" style="margin-top:1rem">
        <h2>Newest shipments</h2>
        <ShipmentTable shipments={newest} />
      </div>
    </>
  )
}

const Branches: FC<{ branches: readonly BranchFigures[]; currency: string }> = ({ branches, currency }) => {
  const most = Math.max(1, ...branches.map(({ open }) => open))
  return (
    <div class="card">
      <h2>By branch</h2>
      <div class="wide">
        <table>
          <thead>
            <tr>
              <th>Branch</th>
              <th>Open</th>
              <th style="width:30%" />
              <th class="right">Invoiced, 30 days</th>
            </tr>
          </thead>
          <tbody>
            {branches.map(({ code, name, open, revenue }) => (
              <tr>
                <td>
                  {name} <span class="soft small">{code}</span>
                </td>
                <td>{count(open)}</td>
                <td>
                  <div class="bar">
                    <i style={`width:${((100 * open) / most).toFixed(1)}%`} />
                  </div>
                </td>
                <td class="right nowrap">{money(revenue, currency, 0)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  )
}

const CHART = { width: 520, height: 190, base: 160, gap: 14 }

const Weeks: FC<{ weeks: Dashboard['weeks']; currency: string }> = ({ weeks, currency }) => {
  const most = Math.max(1, ...weeks.map(({ revenue }) => revenue))
  const step = CHART.width / Math.max(1, weeks.length)
  return (
    <div class="card">
      <h2>Invoiced by week, incl. VAT</h2>
      <svg viewBox={`0 0 ${CHART.width} ${CHART.height}`} width="100%" role="img" aria-label="Invoiced by week">
        {weeks.map(({ starts, revenue }, index) => {
          const height = Math.max(2, (revenue / most) * (CHART.base - 20))
          const left = index * step + CHART.gap / 2
          return (
            <g>
              <title>{`Week of ${starts}: ${money(revenue, currency, 0)}`}</title>
              <rect
                x={left}
                y={CHART.base - height}
                width={step - CHART.gap}
                height={height}
                rx="4"
                fill="var(--accent)"
              />
              <text
                x={left + (step - CHART.gap) / 2}
                y={CHART.base + 20}
                text-anchor="middle"
                font-size="12"
                fill="var(--soft)"
              >
                {starts}
              </text>
            </g>
          )
        })}
      </svg>
    </div>
  )
}
