import type { FC } from 'hono/jsx'
import { moment } from '../app/format.ts'
import { Pill } from '../app/views/parts.tsx'
import type { Attempt, Row } from './attempt.ts'
import type { LoggedAttempt } from './attempt-log.ts'
import type { LabTenant } from './lab-tenant.ts'
import { PAYLOADS } from './search-attack.ts'

interface LabPageProps {
  readonly attempts: readonly Attempt[]
  /** What was typed into the search box. */
  readonly typed: string
  readonly victim: LabTenant | undefined
  readonly log: readonly LoggedAttempt[]
}

export const LabPage: FC<LabPageProps> = ({ attempts, typed, victim, log }) => (
  <>
    <div class="head">
      <div>
        <h1>Attack lab</h1>
        <span class="soft">
          Routes that are wrong on purpose. You are one tenant; try to reach {victim?.name ?? 'another one'}. Writes are
          rolled back.
        </span>
      </div>
    </div>
    <Search typed={typed} />
    <div class="grid kpis" style="margin-top:1rem">
      <Launch action="/lab/forgetful" title="Forget the WHERE">
        Reads and writes that name no tenant, or the wrong one
      </Launch>
      <Launch action="/lab/stale" title="Reuse a connection">
        One tenant's connection, kept and used in another tenant's request
      </Launch>
      <Launch action="/lab/doors" title="Try wrong doors">
        Another tenant's id, key, host and header by HTTP
      </Launch>
    </div>
    {attempts.length > 0 && <Results attempts={attempts} />}
    {log.length > 0 && <Log log={log} />}
  </>
)

const Search: FC<{ typed: string }> = ({ typed }) => (
  <div class="card">
    <h2>A search box that splices what you type into SQL</h2>
    <form class="inline" method="post" action="/lab/search">
      <textarea
        name="q"
        rows={3}
        style="flex:1;min-width:16rem;font-family:ui-monospace,monospace;font-size:.85rem"
        aria-label="Payload"
      >
        {typed}
      </textarea>
      <button type="submit" class="main">
        Attack
      </button>
    </form>
    <form class="chips" method="post" action="/lab/search">
      {PAYLOADS.map(({ name, text }) => (
        <button type="submit" name="q" value={text}>
          {name}
        </button>
      ))}
    </form>
    <p class="soft small" style="margin-bottom:0">
      <code>{'{table}'}</code> and <code>{'{switch}'}</code> stand for the table and the setting at each wall.
    </p>
  </div>
)

const Launch: FC<{ action: string; title: string; children?: unknown }> = ({ action, title, children }) => (
  <form class="card" method="post" action={action}>
    <h2>{title}</h2>
    <p class="soft small">{children as string}</p>
    <button type="submit">Attack</button>
  </form>
)

const Results: FC<{ attempts: readonly Attempt[] }> = ({ attempts }) => {
  const held = attempts.filter(({ isControl, verdict }) => !isControl && verdict !== 'leaked').length
  const own = attempts.filter(({ isControl }) => !isControl).length
  return (
    <div class="card" style="margin-top:1rem" id="results">
      <h2>
        Rowhouse held {held} of {own}
      </h2>
      {attempts.map((attempt) => (
        <Result attempt={attempt} />
      ))}
    </div>
  )
}

const VERDICTS = { own: 'Own rows only', refused: 'Refused', leaked: 'Leaked' } as const

const Result: FC<{ attempt: Attempt }> = ({ attempt }) => (
  <div class="attempt">
    <header>
      <Pill kind={attempt.verdict}>{VERDICTS[attempt.verdict]}</Pill>
      {attempt.attack}
      <span class="soft small">{attempt.wall}</span>
    </header>
    <pre>{attempt.sent}</pre>
    <div class="small">
      {attempt.code && <code>{attempt.code}</code>} {attempt.sqlState && <code>SQLSTATE {attempt.sqlState}</code>}{' '}
      {attempt.explanation}
    </div>
    <Rows rows={attempt.rows} />
  </div>
)

const Rows: FC<{ rows: readonly Row[] }> = ({ rows }) => {
  const columns = Object.keys(rows[0] ?? {})
  if (columns.length === 0) return null
  return (
    <details class="wide small">
      <summary class="soft">Rows</summary>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th>{column}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>
              {columns.map((column) => (
                <td>{String(row[column] ?? '')}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  )
}

const Log: FC<{ log: readonly LoggedAttempt[] }> = ({ log }) => (
  <div class="card" style="margin-top:1rem">
    <h2>What the log has of it</h2>
    <div class="wide">
      <table class="small">
        <tbody>
          {log.map(({ at, attempt }) => (
            <tr>
              <td class="soft nowrap">{moment(at)}</td>
              <td>
                <Pill kind={attempt.verdict} />
              </td>
              <td>{attempt.attack}</td>
              <td class="soft">{attempt.wall}</td>
              <td>{attempt.code && <code>{attempt.code}</code>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </div>
)
