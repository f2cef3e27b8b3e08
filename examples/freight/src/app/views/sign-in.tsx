import type { FC } from 'hono/jsx'
import type { Company } from '../../domain/company.ts'
import type { Person } from '../../domain/people.ts'
import { Document, postOf } from './layout.tsx'

export const SignInPage: FC<{ company: Company; people: readonly Person[] }> = ({ company, people }) => (
  <Document title={`Sign in · ${company.name}`} brand={company.color}>
    <div class="top">
      <div class="in">
        <span class="name">
          <span class="mark">{company.name.charAt(0)}</span>
          {company.name}
        </span>
      </div>
    </div>
    <main class="in">
      <div class="card" style="max-width:32rem">
        <h1>Who are you today?</h1>
        <p class="soft">A demonstration has no passwords. The cookie is signed and good for this tenant only.</p>
        <form method="post" action="/sign-in" class="grid">
          {people.map((person) => (
            <button type="submit" name="person" value={person.id}>
              {postOf(person)} <span class="soft small">{person.name}</span>
            </button>
          ))}
        </form>
      </div>
    </main>
  </Document>
)
