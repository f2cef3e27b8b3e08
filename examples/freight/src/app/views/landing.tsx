import type { FC } from 'hono/jsx'
import type { PlatformReport } from '../../domain/platform-report.ts'
import { count, money } from '../format.ts'
import { Document } from './layout.tsx'

interface LandingProps {
  readonly port: number
  readonly tenants: readonly { readonly slug: string; readonly name: string }[]
  readonly report?: PlatformReport
  readonly refusal?: string
}

export const LandingPage: FC<LandingProps> = ({ port, tenants, report, refusal }) => {
  const urlOf = (slug: string, path = '/') => `http://${slug}.localhost:${port}${path}`
  const [first, second] = tenants
  return (
    <Document title="Rowhouse: freight demonstration">
      <div class="hero">
        <div class="in">
          <h1>One application, {count(tenants.length)} companies</h1>
          <p>
            Every company below runs on the same program, the same tables and the same connections. None of the queries
            names a company: PostgreSQL shows each request the rows of its own tenant and refuses the rest.
          </p>
        </div>
      </div>
      <main class="in">
        <div class="grid two" style="margin-top:0">
          <div class="card">
            <h2>Try this</h2>
            <ol class="try">
              {first && (
                <li>
                  Open <a href={urlOf(first.slug)}>{first.name}</a>, then become the manager of a branch (top right):
                  every figure shrinks to that branch.
                </li>
              )}
              {second && first && (
                <li>
                  Copy the address of one of its shipments and put it behind{' '}
                  <a href={urlOf(second.slug, '/shipments')}>{second.slug}.localhost</a>: it does not exist there.
                </li>
              )}
              {first && (
                <li>
                  Break in: <a href={urlOf(first.slug, '/lab')}>the attack lab</a> splices your text into SQL, forgets
                  the WHERE, reuses connections and knocks on wrong doors, with weak walls beside it for comparison.
                </li>
              )}
              <li>Ask for the operator's report: it wants a reason, and writes it down before it reads a row.</li>
            </ol>
          </div>
          <Report {...(report ? { report } : {})} {...(refusal ? { refusal } : {})} />
        </div>
        <div class="frames" style="margin-top:1rem">
          {[first, second].map(
            (tenant) =>
              tenant && (
                <div>
                  <h2>
                    <a href={urlOf(tenant.slug)}>{tenant.slug}.localhost</a>
                  </h2>
                  <iframe src={urlOf(tenant.slug)} title={tenant.name} />
                </div>
              ),
          )}
        </div>
        <div class="card" style="margin-top:1rem">
          <h2>All companies</h2>
          <p class="small" style="columns:14rem;margin:0">
            {tenants.map(({ slug, name }) => (
              <>
                <a href={urlOf(slug)}>{name}</a>
                <br />
              </>
            ))}
          </p>
        </div>
        <p class="soft small">
          Names under <code>localhost</code> lead to this machine in Chrome, Edge and Firefox. Elsewhere, send the
          header <code>Host: acme.localhost:{port}</code>.
        </p>
      </main>
    </Document>
  )
}

const Report: FC<{ report?: PlatformReport; refusal?: string }> = ({ report, refusal }) => (
  <div class="card">
    <h2>The operator's report over all companies</h2>
    <form class="inline" method="post" action="/report">
      <input class="grow" name="reason" placeholder="Reason, e.g. monthly report" aria-label="Reason" />
      <button type="submit" class="main">
        Run
      </button>
    </form>
    {refusal && <p class="small pill overdue">{refusal}</p>}
    {report && <ReportTable report={report} />}
    {!report && !refusal && (
      <p class="soft small">One statement per company, each under that company's own seal, at most eight at a time.</p>
    )}
  </div>
)

const SHOWN = 8

const ReportTable: FC<{ report: PlatformReport }> = ({ report }) => {
  const largest = report.tenants.toSorted((left, right) => right.shipments - left.shipments).slice(0, SHOWN)
  const shipments = report.tenants.reduce((sum, tenant) => sum + tenant.shipments, 0)
  return (
    <>
      <p class="small">
        {count(shipments)} shipments of {report.tenants.length} companies; written down as{' '}
        <code>{report.crossingId.slice(0, 8)}</code>.{' '}
        {report.failed.length > 0 && `${report.failed.length} did not answer.`}
      </p>
      <table class="small">
        <thead>
          <tr>
            <th>Company</th>
            <th class="right">Shipments</th>
            <th class="right">Open</th>
            <th class="right">Invoiced, 30 days</th>
          </tr>
        </thead>
        <tbody>
          {largest.map((tenant) => (
            <tr>
              <td>{tenant.name}</td>
              <td class="right">{count(tenant.shipments)}</td>
              <td class="right">{count(tenant.open)}</td>
              <td class="right nowrap">{money(tenant.revenue, tenant.currency, 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  )
}
