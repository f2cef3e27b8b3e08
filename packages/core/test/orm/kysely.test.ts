import { Kysely, PostgresDialect, sql } from 'kysely'
import { afterAll, beforeAll } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'
import { type OrmUnderTest, ormConformance } from './conformance.ts'

interface Schema {
  item: { tenant_id?: string; id: number; label: string }
}

let n: Neighbours
let db: Kysely<Schema>
beforeAll(async () => {
  n = await createNeighbours()
  db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: n.rowhouse.pool }) })
})
afterAll(() => n.close())

class Undo extends Error {}

const orm: OrmUnderTest = {
  labels: async () =>
    (await db.selectFrom('item').select('label').where('id', '<', 100).orderBy('id').execute()).map((row) => row.label),
  labelOf: async (id) => (await db.selectFrom('item').select('label').where('id', '=', id).executeTakeFirst())?.label,
  insert: async (id, label) => void (await db.insertInto('item').values({ id, label }).execute()),
  insertFor: async (tenant_id, id) =>
    void (await db.insertInto('item').values({ tenant_id, id, label: 'planted' }).execute()),
  transactionThatFails: async (id) => {
    let labels: string[] = []
    const transaction = db.transaction().execute(async (tx) => {
      await tx
        .insertInto('item')
        .values({ id, label: `${(await tx.selectFrom('item').select('label').executeTakeFirst())?.label}` })
        .execute()
      labels = (await tx.selectFrom('item').select('label').execute()).map((row) => row.label)
      throw new Undo()
    })
    await transaction.catch((error) => {
      if (!(error instanceof Undo)) throw error
    })
    return labels
  },
  isolationLevel: (level) =>
    db
      .transaction()
      .setIsolationLevel(level)
      .execute(async (tx) => {
        const { rows } = await sql<{ level: string }>`select current_setting('transaction_isolation') as level`.execute(
          tx,
        )
        return rows[0]?.level ?? ''
      }),
}

ormConformance(
  'Kysely',
  () => n,
  () => orm,
)
