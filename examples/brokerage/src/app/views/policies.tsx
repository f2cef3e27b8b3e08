import type { FC } from 'hono/jsx'
import {
  POLICY_STATUSES,
  type PolicyFile,
  type PolicyFilter,
  type PolicyPage as PolicyList,
} from '../../domain/policies.ts'
import { count, day, label, money, monthName } from '../format.ts'
import { Pill } from './parts.tsx'

export const PoliciesPage: FC<{ list: PolicyList; filter: PolicyFilter; currency: string }> = (props) => (
  <>
    <div class="head">
      <h1>Policies</h1>
      <form class="inline" method="get">
        <input
          type="search"
          name="q"
          value={props.filter.search ?? ''}
          placeholder="Number or client"
          aria-label="Search"
        />
        <select name="status" aria-label="Status">
          <option value="">Every status</option>
          {POLICY_STATUSES.map((status) => (
            <option value={status} selected={status === props.filter.status}>
              {label(status)}
            </option>
          ))}
        </select>
        <button type="submit" class="main">
          Filter
        </button>
      </form>
    </div>
    <div class="card wide">
      <PolicyTable list={props.list} currency={props.currency} />
      <Pages list={props.list} filter={props.filter} />
    </div>
  </>
)

const PolicyTable: FC<{ list: PolicyList; currency: string }> = ({ list, currency }) => (
  <table>
    <thead>
      <tr>
        <th>Number</th>
        <th>Status</th>
        <th>Client</th>
        <th>Insurer</th>
        <th>Line</th>
        <th class="right">Premium</th>
        <th class="right">Ends</th>
      </tr>
    </thead>
    <tbody>
      {list.policies.map((policy) => (
        <tr>
          <td class="nowrap">
            <a href={`/policies/${policy.id}`}>{policy.number}</a>
          </td>
          <td>
            <Pill kind={policy.status} />
          </td>
          <td>{policy.client}</td>
          <td>{policy.carrier}</td>
          <td>{policy.line}</td>
          <td class="right nowrap">{money(policy.premium, currency)}</td>
          <td class="right nowrap">{day(policy.endsOn)}</td>
        </tr>
      ))}
    </tbody>
  </table>
)

const Pages: FC<{ list: PolicyList; filter: PolicyFilter }> = ({ list, filter }) => {
  const query = { ...(filter.status && { status: filter.status }), ...(filter.search && { q: filter.search }) }
  const href = (page: number) => `?${new URLSearchParams({ ...query, page: String(page) })}`
  return (
    <div class="pages small">
      <span>{list.page > 1 && <a href={href(list.page - 1)}>← Later</a>}</span>
      <span class="soft">
        Page {count(list.page)} of {count(list.pages)}, {count(list.total)} in all
      </span>
      <span>{list.page < list.pages && <a href={href(list.page + 1)}>Earlier →</a>}</span>
    </div>
  )
}

export const PolicyPage: FC<{ file: PolicyFile; currency: string }> = ({ file, currency }) => (
  <>
    <div class="head">
      <h1>{file.policy.number}</h1>
      <Pill kind={file.policy.status} />
    </div>
    <div class="card">
      <dl>
        <dt>Client</dt>
        <dd>{file.policy.client}</dd>
        <dt>Insurer</dt>
        <dd>{file.policy.carrier}</dd>
        <dt>Line</dt>
        <dd>{file.policy.line}</dd>
        <dt>Premium</dt>
        <dd>{money(file.policy.premium, currency)}</dd>
        <dt>Term</dt>
        <dd>
          {day(file.policy.startsOn)} to {day(file.policy.endsOn)}
        </dd>
      </dl>
    </div>
    <div class="card">
      <h2>Commission</h2>
      {file.commissions.map((each) => (
        <p>
          {monthName(each.month)}: {money(each.amount, currency)} ({each.percent} %, {each.kind}){' '}
          <Pill kind={each.receivedOn === null ? 'due' : 'received'} />
        </p>
      ))}
    </div>
    <div class="card">
      <h2>Papers</h2>
      {file.documents.map((each) => (
        <p>
          {each.name} <span class="soft small">{day(each.createdAt)}</span>
        </p>
      ))}
      {file.documents.length === 0 && <p class="soft">None.</p>}
    </div>
  </>
)
