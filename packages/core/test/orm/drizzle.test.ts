import { eq, lt, sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { bigint, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'
import { type OrmUnderTest, ormConformance } from './conformance.ts'

const item = pgTable(
  'item',
  {
    tenantId: uuid('tenant_id').notNull().default(sql`rowhouse.current_tenant_id()`),
    id: bigint('id', { mode: 'number' }).notNull(),
    label: text('label').notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] })],
)

let n: Neighbours
let db: NodePgDatabase
beforeAll(async () => {
  n = await createNeighbours()
  db = drizzle(n.rowhouse.pool)
})
afterAll(() => n.close())

class Undo extends Error {}

const orm: OrmUnderTest = {
  labels: async () => (await db.select().from(item).where(lt(item.id, 100)).orderBy(item.id)).map((row) => row.label),
  labelOf: async (id) => (await db.select().from(item).where(eq(item.id, id)))[0]?.label,
  insert: async (id, label) => void (await db.insert(item).values({ id, label })),
  insertFor: async (tenantId, id) => void (await db.insert(item).values({ tenantId, id, label: 'planted' })),
  transactionThatFails: async (id) => {
    let labels: string[] = []
    const transaction = db.transaction(async (tx) => {
      const [first] = await tx.select().from(item)
      await tx.insert(item).values({ id, label: `${first?.label}` })
      labels = (await tx.select().from(item)).map((row) => row.label)
      throw new Undo()
    })
    await transaction.catch((error) => {
      if (!(error instanceof Undo)) throw error
    })
    return labels
  },
  isolationLevel: (isolationLevel) =>
    db.transaction(
      async (tx) => {
        const { rows } = await tx.execute<{ level: string }>(
          sql`select current_setting('transaction_isolation') as level`,
        )
        return rows[0]?.level ?? ''
      },
      { isolationLevel },
    ),
}

ormConformance(
  'Drizzle',
  () => n,
  () => orm,
)
