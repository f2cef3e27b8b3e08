import type { ScopedDb } from 'rowhouse'
import type { NumberKind } from './numbering.ts'

/** What makes a tenant's system its own. */
export interface Company {
  readonly name: string
  /** `#rrggbb`, checked, so that it can stand in a style sheet. */
  readonly color: string
  /** ISO 4217. */
  readonly currency: string
  /** Per cent. */
  readonly vatRate: number
  readonly formats: Readonly<Record<NumberKind, string>>
}

const FALLBACK_COLOR = '#334155'

/** Reads the company of the running request. Settings that are missing get a neutral value. */
export async function loadCompany(db: ScopedDb): Promise<Company> {
  const rows = await db.many<{ key: string; value: unknown }>(`select key, value from setting where key <> 'seed'`)
  const settings = new Map(rows.map(({ key, value }) => [key, value]))
  const text = (key: string, fallback: string) => {
    const value = settings.get(key)
    return typeof value === 'string' ? value : fallback
  }
  const color = text('color', FALLBACK_COLOR)
  return {
    name: text('name', 'Freight'),
    color: /^#[0-9a-f]{6}$/.test(color) ? color : FALLBACK_COLOR,
    currency: text('currency', 'USD'),
    vatRate: Number(settings.get('vat_rate') ?? 0),
    formats: {
      shipment: text('format.shipment', 'S-{yyyy}-{seq:6}'),
      quote: text('format.quote', 'Q-{yyyy}-{seq:6}'),
      invoice: text('format.invoice', 'I-{yyyy}-{seq:6}'),
      awb: text('format.awb', '{seq:7}{check7}'),
    },
  }
}
