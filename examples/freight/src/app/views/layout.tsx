import { raw } from 'hono/html'
import type { Child, FC } from 'hono/jsx'
import type { Company } from '../../domain/company.ts'
import type { Person } from '../../domain/people.ts'
import type { SealedFacts } from '../sealed-facts.ts'
import { Pill } from './parts.tsx'

/** What every page of a tenant shows around its content. */
export interface Frame {
  readonly slug: string
  readonly company: Company
  readonly person: Person | undefined
  /** Who the visitor may become. */
  readonly people: readonly Person[]
  readonly sealed: SealedFacts
  readonly path: string
  readonly hasLab: boolean
  readonly tookMs: number
}

export const Document: FC<{ title: string; brand?: string; children?: Child }> = ({ title, brand, children }) => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <title>{title}</title>
      <link rel="icon" href={icon(brand ?? '#334155')} />
      <link rel="stylesheet" href="/style.css" />
      {brand && <style>{raw(`:root{--brand:${brand}}`)}</style>}
    </head>
    <body>{children}</body>
  </html>
)

export const Layout: FC<{ frame: Frame; title: string; children?: Child }> = ({ frame, title, children }) => (
  <Document title={`${title} · ${frame.company.name}`} brand={frame.company.color}>
    <div class="top">
      <div class="in">
        <a class="name" href="/">
          <span class="mark">{frame.company.name.charAt(0)}</span>
          {frame.company.name}
        </a>
        <Navigation frame={frame} />
        <Who frame={frame} />
      </div>
    </div>
    <Scope sealed={frame.sealed} />
    <main class="in">{children}</main>
    <footer>
      <div class="in">
        Tenant <code>{frame.slug}</code>, actor <code>{frame.sealed.actor ?? 'none'}</code>, both read back from the
        seal PostgreSQL checked. Page made in {frame.tookMs.toFixed(0)} ms.
      </div>
    </footer>
  </Document>
)

const Navigation: FC<{ frame: Frame }> = ({ frame }) => {
  const links = [
    ['/', 'Dashboard'],
    ['/shipments', 'Shipments'],
    ['/invoices', 'Invoices'],
    ...(frame.hasLab ? [['/lab', 'Attack lab']] : []),
  ] as [string, string][]
  const isHere = (href: string) => (href === '/' ? frame.path === '/' : frame.path.startsWith(href))
  return (
    <>
      {links.map(([href, text]) => (
        <a href={href} class={isHere(href) ? 'here' : ''}>
          {text}
        </a>
      ))}
    </>
  )
}

const Who: FC<{ frame: Frame }> = ({ frame }) => (
  <details class="who">
    <summary>{frame.person === undefined ? 'API key' : `${frame.person.name} · ${postOf(frame.person)}`} ▾</summary>
    <div class="menu">
      <form method="post" action="/sign-in">
        {frame.people.map((person) => (
          <button type="submit" name="person" value={person.id}>
            {postOf(person)}
            <small>
              {person.name}, sees {person.branch === undefined ? 'all branches' : `${person.branch.name} only`}
            </small>
          </button>
        ))}
      </form>
    </div>
  </details>
)

const Scope: FC<{ sealed: SealedFacts }> = ({ sealed }) => (
  <div class="scope">
    <div class="in">
      <span>Branch scope</span>
      {sealed.branches === null ? (
        <Pill kind="own">all branches</Pill>
      ) : (
        sealed.branches.map((branch) => <Pill kind="in_transit">{branch} only</Pill>)
      )}
      <span class="soft">held by PostgreSQL, also for raw SQL</span>
    </div>
  </div>
)

export function postOf(person: Person): string {
  return person.branch === undefined ? 'Director' : `${person.branch.name} ${person.role}`
}

function icon(color: string): string {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" rx="2" fill="${color}"/><path d="M2 6V2h1.2v1.4h1.6V2H6v4H4.8V4.6H3.2V6z" fill="#fff"/></svg>`
  return `data:image/svg+xml,${encodeURIComponent(svg)}`
}
