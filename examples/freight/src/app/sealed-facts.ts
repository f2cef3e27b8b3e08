import type { ScopedDb } from 'rowhouse'

/** What PostgreSQL itself holds about this work, after checking the seal. */
export interface SealedFacts {
  readonly actor: string | null
  /** Branches in scope; null means all. */
  readonly branches: readonly string[] | null
}

/** Asks the database, not the application, who acts and how far the work may see. */
export function readSealedFacts(db: ScopedDb): Promise<SealedFacts> {
  return db.one<{ actor: string | null; branches: string[] | null }>(
    `select s.actor,
            case when s.units is not null then
              coalesce((select array_agg(b.name order by b.name) from branch b where b.id = any (s.units)), '{}')
            end as branches
     from rowhouse.sealed s`,
  )
}
