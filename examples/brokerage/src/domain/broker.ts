import type { ScopedDb } from 'rowhouse'

/** What makes a broker's system its own. */
export interface Broker {
  readonly name: string
  /** `#rrggbb`, checked, so that it can stand in a style sheet. */
  readonly color: string
  /** ISO 4217. */
  readonly currency: string
  /** Begins the numbers of quotes and policies, e.g. `HB`. */
  readonly prefix: string
}

const FALLBACK_COLOR = '#334155'

/** Reads the broker of the running request. Settings that are missing get a neutral value. */
export async function loadBroker(db: ScopedDb): Promise<Broker> {
  const settings = new Map(
    (await db.many<{ key: string; value: unknown }>('select key, value from setting')).map(({ key, value }) => [
      key,
      value,
    ]),
  )
  const text = (key: string, shape: RegExp, fallback: string) => {
    const value = settings.get(key)
    return typeof value === 'string' && shape.test(value) ? value : fallback
  }
  return {
    name: text('name', /./, 'Brokerage'),
    color: text('color', /^#[0-9a-f]{6}$/, FALLBACK_COLOR),
    currency: text('currency', /^[A-Z]{3}$/, 'EUR'),
    prefix: text('prefix', /^[A-Z0-9]{1,4}$/, 'B'),
  }
}
