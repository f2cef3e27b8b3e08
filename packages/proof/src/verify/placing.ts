/** Where the two tenants of a stage live, and what that makes of the schema one attacks the other in. */

import { inHome, type SharedNames } from '../clone/home-statements.ts'
import type { RowPlan } from '../seed/row-plan.ts'
import type { SchemaFacts } from '../seed/schema-facts.ts'

export type Model = 'pooled' | 'schema' | 'database'

/** `hybrid`: each model beside each other. */
export type VerifyModel = Model | 'hybrid'

/** How attacker and victim live. */
export interface Pair {
  readonly attacker: Model
  readonly victim: Model
}

export const BOTH_POOLED: Pair = { attacker: 'pooled', victim: 'pooled' }

const MODELS: readonly Model[] = ['pooled', 'schema', 'database']

/** Returns the pairs that stand for a model: one, or each model against each other. */
export function pairsOf(model: VerifyModel): Pair[] {
  if (model !== 'hybrid') return [{ attacker: model, victim: model }]
  return MODELS.flatMap((attacker) =>
    MODELS.filter((victim) => victim !== attacker).map((victim) => ({ attacker, victim })),
  )
}

/**
 * Where an attack takes place:
 *
 * - `victim`: in the database of the victim, on the tables of the victim.
 * - `own`: on the attacker's own tables, where the attack is about somebody else's share of them, or about a seal.
 * - `both`: each tenant where it lives, by names without a schema, as the application's code has them.
 */
export type Place = 'victim' | 'own' | 'both'

/** The schema as it is attacked at one place. */
export interface Scene {
  readonly facts: SchemaFacts
  readonly plan: RowPlan
  /** Why some tables hold no rows, by name. */
  readonly empty: ReadonlyMap<string, string>
}

export interface Homes {
  readonly attacker: string | undefined
  readonly victim: string | undefined
}

/** Returns the schema at each place. Where everybody shares it, they are one and the same. */
export function setScenes(
  facts: SchemaFacts,
  plan: RowPlan,
  empty: ReadonlyMap<string, string>,
  homes: Homes,
  shared: SharedNames,
): Readonly<Record<Place, Scene>> {
  const plain = { facts, plan, empty }
  const moved = (schema: string | undefined): Scene => {
    const rename = (name: string) => inHome(name, schema, shared)
    const text = JSON.stringify(facts)
    const renamed = JSON.parse(text, (_, value) => (typeof value === 'string' ? rename(value) : value)) as SchemaFacts
    const reasons = new Map([...empty].map(([name, reason]) => [rename(name), reason]))
    // The rows that were made are those of the plan, whatever their tables are called here.
    const original = new Map(renamed.tables.map((table, index) => [table.name, facts.tables[index] ?? table]))
    const row: RowPlan['row'] = (table, ...more) => plan.row(original.get(table.name) ?? table, ...more)
    return { facts: renamed, plan: { ...plan, row }, empty: reasons }
  }
  return {
    victim: homes.victim === undefined ? plain : moved(homes.victim),
    own: homes.attacker === undefined ? plain : moved(homes.attacker),
    both: homes.attacker === undefined && homes.victim === undefined ? plain : moved(undefined),
  }
}
