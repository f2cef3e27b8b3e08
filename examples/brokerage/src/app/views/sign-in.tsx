import type { FC } from 'hono/jsx'
import type { Broker } from '../../domain/broker.ts'
import type { Member } from '../../domain/members.ts'
import { MIN_PASSWORD_LENGTH } from '../../domain/passwords.ts'
import { Document } from './layout.tsx'

export const SignInPage: FC<{ broker: Broker; fault?: string }> = ({ broker, fault }) => (
  <Document title={`Sign in · ${broker.name}`} brand={broker.color}>
    <main class="in">
      <div class="card narrow">
        <h1>{broker.name}</h1>
        {fault && <p class="fault">{fault}</p>}
        <form method="post" action="/sign-in" class="grid">
          <label>
            E-mail
            <input type="email" name="email" autocomplete="username" required />
          </label>
          <label>
            Password
            <input type="password" name="password" autocomplete="current-password" required />
          </label>
          <button type="submit" class="main">
            Sign in
          </button>
        </form>
      </div>
    </main>
  </Document>
)

interface WelcomeProps {
  readonly broker: Broker
  /** Undefined when the invitation is not good, or was used. */
  readonly guest: Member | undefined
  readonly token: string
  readonly fault?: string
}

export const WelcomePage: FC<WelcomeProps> = ({ broker, guest, token, fault }) => (
  <Document title={`Welcome · ${broker.name}`} brand={broker.color}>
    <main class="in">
      <div class="card narrow">
        <h1>{broker.name}</h1>
        {guest === undefined ? (
          <p>
            This invitation is not good any more. <a href="/sign-in">Sign in</a> with the password you chose.
          </p>
        ) : (
          <form method="post" action="/welcome" class="grid">
            <p>
              Welcome, {guest.name}. Choose a password of at least {MIN_PASSWORD_LENGTH} characters.
            </p>
            {fault && <p class="fault">{fault}</p>}
            <input type="hidden" name="token" value={token} />
            <label>
              Password
              <input
                type="password"
                name="password"
                autocomplete="new-password"
                minlength={MIN_PASSWORD_LENGTH}
                required
              />
            </label>
            <button type="submit" class="main">
              Begin
            </button>
          </form>
        )}
      </div>
    </main>
  </Document>
)
