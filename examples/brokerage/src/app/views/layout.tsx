import { raw } from 'hono/html'
import type { Child, FC } from 'hono/jsx'
import type { Broker } from '../../domain/broker.ts'
import type { Visitor } from '../visitor.ts'

/** What every page of a broker shows around its content. */
export interface Frame {
  readonly broker: Broker
  readonly slug: string
  readonly path: string
  readonly visitor: Visitor
}

/** @param brand  `#rrggbb`, checked by whoever gives it: it is written into the style sheet as it is */
export const Document: FC<{ title: string; brand?: string; children?: Child }> = ({ title, brand, children }) => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <title>{title}</title>
      <link rel="icon" href="data:," />
      <link rel="stylesheet" href="/style.css" />
      {brand && <style>{raw(`:root{--brand:${brand}}`)}</style>}
    </head>
    <body>{children}</body>
  </html>
)

const LINKS = [
  ['/', 'Overview'],
  ['/quotes', 'Quotes'],
  ['/policies', 'Policies'],
  ['/commissions', 'Commissions'],
  ['/import', 'Import'],
  ['/settings', 'Settings'],
] as const

export const Layout: FC<{ frame: Frame; title: string; children?: Child }> = ({ frame, title, children }) => (
  <Document title={`${title} · ${frame.broker.name}`} brand={frame.broker.color}>
    <div class="top">
      <div class="in">
        <a class="name" href="/">
          {frame.broker.name}
        </a>
        {LINKS.map(([href, text]) => (
          <a href={href} class={isHere(frame.path, href) ? 'here' : ''}>
            {text}
          </a>
        ))}
        <form method="post" action="/sign-out">
          <button type="submit">
            {frame.visitor.kind === 'key' ? 'API key' : `${frame.visitor.member.name}, sign out`}
          </button>
        </form>
      </div>
    </div>
    <main class="in">{children}</main>
    <footer>
      <div class="in">
        Broker <code>{frame.slug}</code>
      </div>
    </footer>
  </Document>
)

function isHere(path: string, href: string): boolean {
  return href === '/' ? path === '/' : path.startsWith(href)
}
