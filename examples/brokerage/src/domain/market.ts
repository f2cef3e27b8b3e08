import type { Statements } from 'rowhouse'

/** Insurers and lines of business, the same for every broker. */
export interface Market {
  readonly carriers: readonly { readonly code: string; readonly name: string }[]
  readonly lines: readonly { readonly code: string; readonly name: string }[]
}

export async function loadMarket(db: Statements): Promise<Market> {
  const [carriers, lines] = await Promise.all([
    db.many<Market['carriers'][number]>('select code, name from carrier order by name'),
    db.many<Market['lines'][number]>('select code, name from line order by name'),
  ])
  return { carriers, lines }
}
