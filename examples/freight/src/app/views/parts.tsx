import type { Child, FC } from 'hono/jsx'
import { count, label } from '../format.ts'

/** A word with a colour; `kind` is a status or a verdict and picks the colour. */
export const Pill: FC<{ kind: string; children?: Child }> = ({ kind, children }) => (
  <span class={`pill ${kind}`}>{children ?? label(kind)}</span>
)

export const Figure: FC<{ value: string; children?: Child }> = ({ value, children }) => (
  <div class="card kpi">
    <b>{value}</b>
    <span>{children}</span>
  </div>
)

/** Links to the page before and after; keeps the filter. */
export const Pages: FC<{ page: number; pages: number; total: number; query: Readonly<Record<string, string>> }> = ({
  page,
  pages,
  total,
  query,
}) => {
  const href = (to: number) => `?${new URLSearchParams({ ...query, page: String(to) })}`
  return (
    <div class="pages small">
      <span>{page > 1 && <a href={href(page - 1)}>← Newer</a>}</span>
      <span class="soft">
        Page {count(page)} of {count(pages)}, {count(total)} in all
      </span>
      <span>{page < pages && <a href={href(page + 1)}>Older →</a>}</span>
    </div>
  )
}

export const Message: FC<{ title: string; children?: Child }> = ({ title, children }) => (
  <div class="card">
    <h1>{title}</h1>
    <p class="soft">{children}</p>
    <a href="/">To the dashboard</a>
  </div>
)
