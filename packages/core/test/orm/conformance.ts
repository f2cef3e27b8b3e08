import { describe, expect, it } from 'vitest'
import type { Neighbours } from '../support/tenants.ts'

/** What an ORM has to offer to take part: three ways of touching the table `item`. */
export interface OrmUnderTest {
  /** Reads all labels, without any filter on the tenant. */
  labels(): Promise<string[]>
  /** Reads one row by id alone: both tenants have this id. */
  labelOf(id: number): Promise<string | undefined>
  /** Inserts a row without naming the tenant. */
  insert(id: number, label: string): Promise<void>
  /** Inserts a row for the tenant named: must be refused when it is not the own one. */
  insertFor(tenantId: string, id: number): Promise<void>
  /** Opens the ORM's own transaction, reads in it, and throws to roll it back. */
  transactionThatFails(id: number): Promise<string[]>
  /** Opens the ORM's own transaction at this isolation level and returns what PostgreSQL says it is. */
  isolationLevel(level: 'serializable' | 'repeatable read'): Promise<string>
}

const CONCURRENT = 300

/** The promises every ORM on `rowhouse.pool` keeps, unchanged. */
export function ormConformance(name: string, neighbours: () => Neighbours, orm: () => OrmUnderTest): void {
  const as = <T>(slug: string, fn: () => Promise<T>) => neighbours().rowhouse.withTenant(slug, fn)

  describe(`${name} on rowhouse.pool`, () => {
    it('reads own rows when it forgets the tenant', async () => {
      expect(await as('acme', () => orm().labels())).toEqual(['acme1', 'acme2', 'acme3'])
      expect(await as('globex', () => orm().labels())).toEqual(['globex1', 'globex2', 'globex3'])
    })

    it('fills the tenant in on insert and refuses another one', async () => {
      await as('acme', () => orm().insert(100, 'acme-new'))
      expect(await as('acme', () => orm().labelOf(100))).toBe('acme-new')
      expect(await as('globex', () => orm().labelOf(100))).toBeUndefined()
      await expect(as('acme', () => orm().insertFor(neighbours().b.id, 101))).rejects.toThrow()
      await neighbours().inHomes('delete from item where id >= 100')
    })

    it(`answers ${CONCURRENT} concurrent reads of two tenants for the right one each, also in one tick`, async () => {
      const slugs = Array.from({ length: CONCURRENT }, (_, i) => (i % 2 ? 'acme' : 'globex'))
      const answers = await Promise.all(slugs.map((slug) => as(slug, () => orm().labelOf(1))))
      expect(answers).toEqual(slugs.map((slug) => `${slug}1`))
    })

    it('keeps a transaction to its tenant, concurrent with others, and rolls it back', async () => {
      const slugs = Array.from({ length: 40 }, (_, i) => (i % 2 ? 'acme' : 'globex'))
      const seen = await Promise.all(slugs.map((slug, i) => as(slug, () => orm().transactionThatFails(1000 + i))))
      seen.forEach((labels, i) => {
        expect(labels.every((label) => label.startsWith(slugs[i] as string))).toBe(true)
      })
      expect(await neighbours().inHomes('select from item where id >= 1000')).toEqual([])
    })

    it('may choose the isolation level', async () => {
      expect(await as('acme', () => orm().isolationLevel('serializable'))).toBe('serializable')
      expect(await as('acme', () => orm().isolationLevel('repeatable read'))).toBe('repeatable read')
    })

    it('is refused without a tenant', async () => {
      await expect(orm().labels()).rejects.toSatisfy((error) =>
        /no tenant is set/.test(String((error as Error).cause ?? error)),
      )
    })
  })
}
