import type { FC } from 'hono/jsx'
import { PLANS } from '../../platform/placement.ts'
import { label } from '../format.ts'
import { Document } from './layout.tsx'

export interface SignUpPageProps {
  /** Names this sign-up: the form sent twice makes one broker. */
  readonly idempotencyKey: string
  readonly base: string
  readonly fault?: string
  readonly values?: Readonly<Record<string, string>>
}

const FIELDS = [
  ['name', 'Name of the brokerage', 'organization', 'text'],
  ['slug', 'Short name, for the address', 'off', 'text'],
  ['person', 'Your name', 'name', 'text'],
  ['email', 'Your e-mail', 'email', 'email'],
] as const

export const SignUpPage: FC<SignUpPageProps> = ({ idempotencyKey, base, fault, values = {} }) => (
  <Document title="Begin">
    <main class="in">
      <div class="card narrow">
        <h1>A system for your brokerage</h1>
        <p class="soft">
          At <code>your-name.{base}</code>, ready when this page answers.
        </p>
        {fault && <p class="fault">{fault}</p>}
        <form method="post" action="/sign-up" class="grid">
          <input type="hidden" name="idempotencyKey" value={idempotencyKey} />
          {FIELDS.map(([name, text, autocomplete, type]) => (
            <label>
              {text}
              <input type={type} name={name} autocomplete={autocomplete} value={values[name] ?? ''} required />
            </label>
          ))}
          <label>
            Plan
            <select name="plan">
              {PLANS.map((plan) => (
                <option value={plan} selected={plan === values.plan}>
                  {label(plan)}
                </option>
              ))}
            </select>
          </label>
          <button type="submit" class="main">
            Begin
          </button>
        </form>
      </div>
    </main>
  </Document>
)

export const SignedUpPage: FC<{ name: string; url: string; email: string }> = ({ name, url, email }) => (
  <Document title="Ready">
    <main class="in">
      <div class="card narrow">
        <h1>{name} is ready</h1>
        <p>
          At <a href={url}>{url}</a>. A letter with the way in is on its way to {email}.
        </p>
      </div>
    </main>
  </Document>
)
