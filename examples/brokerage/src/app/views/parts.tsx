import type { Child, FC } from 'hono/jsx'
import { label } from '../format.ts'

/** A word with a colour; `kind` is a status and picks the colour. */
export const Pill: FC<{ kind: string }> = ({ kind }) => <span class={`pill ${kind}`}>{label(kind)}</span>

export const Figure: FC<{ value: string; children?: Child }> = ({ value, children }) => (
  <div class="card kpi">
    <b>{value}</b>
    <span>{children}</span>
  </div>
)

export const Message: FC<{ title: string; children?: Child }> = ({ title, children }) => (
  <div class="card">
    <h1>{title}</h1>
    <p>{children}</p>
    <a href="/">To the overview</a>
  </div>
)
