import type { Library, TenantRef } from '../../src/verify/arena.ts'
import type { Surface } from './surface.ts'

/** How far a library goes on a surface. What is outside is attacked and told, and counted neither for nor against it. */
export type Offer = 'offered' | 'outside' | 'absent'

/** What the keys of a schema start with: its tenants, or an id that is unique over all of them. */
export type Keys = 'tenant first' | 'single'

/** A way of keeping tenants apart, in the setup its own documentation recommends. */
export interface Peer {
  readonly name: string
  /** With what it was run, e.g. `0.5.4`. */
  readonly version: string
  /** One sentence: what it is for. */
  readonly purpose: string
  /** One sentence: how it was set up here, and after which text. */
  readonly setup: string
  /** Setting its policies read. */
  readonly setting: string
  readonly surfaces: Readonly<Record<Surface, Offer>>
  /** Tables with keys as its documentation has them, and those keys in a few words. */
  readonly own: { readonly schema: string; readonly keys: string }
  /** SQL of the superuser that puts its walls around tables that are there, for a login that owns none of them. */
  walls(tables: readonly string[], tenants: readonly TenantRef[], app: string): Promise<string>
  open(url: string): Library
}

/** Rights of a login that owns nothing: rows of the tables, and what their serial ids need. */
export function rowRights(tables: readonly string[], app: string): string {
  return [
    ...tables.map((table) => `grant select, insert, update, delete on ${table} to ${app};`),
    `grant usage on all sequences in schema public to ${app};`,
  ].join('\n')
}
