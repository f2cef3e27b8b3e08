import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { drizzleDatabase } from '@usebetterdev/tenant/drizzle'
import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { bigint, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { createRowhouse } from 'rowhouse'
import type { BenchDatabase } from './database.ts'

/** One way to keep tenants apart: reads one row by id, and inserts one row. */
export interface Rival {
  read(tenant: number, id: number): Promise<unknown>
  insert(tenant: number, id: number): Promise<unknown>
  close(): Promise<void>
}

/** Connections every rival may use; ours uses the same number in all. */
const CONNECTIONS = 10

const columns = {
  tenantId: uuid('tenant_id').notNull(),
  id: bigint('id', { mode: 'number' }).notNull(),
  status: text('status').notNull(),
  amount: integer('amount').notNull(),
  note: text('note').notNull(),
}
const usualTable = pgTable('usual', columns)
const peerTable = pgTable('peer', columns)

/** Rowhouse: `withTenant` and a statement that does not name the tenant. */
export async function openRowhouse(database: BenchDatabase, url: string): Promise<Rival> {
  const rowhouse = await createRowhouse({ url, rootKey: database.rootKey, poolSize: CONNECTIONS - 2 })
  const slug = (tenant: number) => database.tenants[tenant]?.slug ?? ''
  return {
    read: (tenant, id) =>
      rowhouse.withTenant(slug(tenant), (db) => db.many('select id, status, amount from sealed where id = $1', [id])),
    insert: (tenant, id) =>
      rowhouse.withTenant(slug(tenant), (db) =>
        db.query('insert into sealed (id, status, amount, note) values ($1, $2, $3, $4)', [id, 'new', 1, 'x']),
      ),
    close: () => rowhouse.close(),
  }
}

/** SQL that names the tenant by hand, on the stock pool, no policies; `name` makes it a prepared statement. */
export function openHandWritten(database: BenchDatabase, url: string, prepared: boolean): Rival {
  const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS })
  const id = (tenant: number) => database.tenants[tenant]?.id
  const named = (name: string, text_: string, values: unknown[]) =>
    pool.query(prepared ? { name, text: text_, values } : { text: text_, values })
  return {
    read: (tenant, row) =>
      named('read', 'select id, status, amount from plain where tenant_id = $1 and id = $2', [id(tenant), row]),
    insert: (tenant, row) =>
      named('insert', 'insert into plain (tenant_id, id, status, amount, note) values ($1, $2, $3, $4, $5)', [
        id(tenant),
        row,
        'new',
        1,
        'x',
      ]),
    close: () => pool.end(),
  }
}

/** The usual way: BEGIN, set_config, statement, COMMIT on a pooled connection, one policy on the setting. */
export function openUsualWay(database: BenchDatabase, url: string): Rival {
  const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS })
  const scoped = async (tenant: number, text_: string, values: unknown[]) => {
    const client = await pool.connect()
    try {
      await client.query('begin')
      await client.query(`select set_config('app.tenant', $1, true)`, [database.tenants[tenant]?.id])
      const result = await client.query(text_, values)
      await client.query('commit')
      return result
    } finally {
      client.release()
    }
  }
  return {
    read: (tenant, id) => scoped(tenant, 'select id, status, amount from usual where id = $1', [id]),
    insert: (tenant, id) =>
      scoped(tenant, 'insert into usual (tenant_id, id, status, amount, note) values ($1, $2, $3, $4, $5)', [
        database.tenants[tenant]?.id,
        id,
        'new',
        1,
        'x',
      ]),
    close: () => pool.end(),
  }
}

/** Drizzle with its own transaction and set_config. */
export function openDrizzleRls(database: BenchDatabase, url: string): Rival {
  const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS })
  const db = drizzle(pool)
  const tenantId = (tenant: number) => database.tenants[tenant]?.id ?? ''
  const scoped = <T>(tenant: number, fn: (tx: Parameters<Parameters<typeof db.transaction>[0]>[0]) => Promise<T>) =>
    db.transaction(async (tx) => {
      await tx.execute(sql`select set_config('app.tenant', ${tenantId(tenant)}, true)`)
      return fn(tx)
    })
  return {
    read: (tenant, id) =>
      scoped(tenant, (tx) =>
        tx
          .select({ id: usualTable.id, status: usualTable.status, amount: usualTable.amount })
          .from(usualTable)
          .where(eq(usualTable.id, id)),
      ),
    insert: (tenant, id) =>
      scoped(tenant, (tx) =>
        tx.insert(usualTable).values({ tenantId: tenantId(tenant), id, status: 'new', amount: 1, note: 'x' }),
      ),
    close: () => pool.end(),
  }
}

/**
 * `@usebetterdev/tenant` with its Drizzle adapter, called at the adapter: `runAs` would also load the tenant's record in a
 * second transaction, which with more requests in flight than connections waits for itself.
 */
export function openBetterTenant(database: BenchDatabase, url: string): Rival {
  const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS })
  const { adapter } = drizzleDatabase(drizzle(pool))
  type Db = ReturnType<typeof drizzle>
  const scoped = <T>(tenant: number, fn: (db: Db) => Promise<T>) =>
    adapter.runWithTenant(database.tenants[tenant]?.id ?? '', (db) => fn(db as unknown as Db))
  return {
    read: (tenant, id) =>
      scoped(tenant, (db) =>
        db
          .select({ id: peerTable.id, status: peerTable.status, amount: peerTable.amount })
          .from(peerTable)
          .where(eq(peerTable.id, id)),
      ),
    insert: (tenant, id) =>
      scoped(tenant, (db) =>
        db
          .insert(peerTable)
          .values({ tenantId: database.tenants[tenant]?.id ?? '', id, status: 'new', amount: 1, note: 'x' }),
      ),
    close: () => pool.end(),
  }
}

interface PrismaLike {
  usual: { findMany(args: object): Promise<unknown>; create(args: object): Promise<unknown> }
  $executeRaw(text_: TemplateStringsArray, ...values: unknown[]): unknown
  $transaction(work: unknown[]): Promise<unknown[]>
  $disconnect(): Promise<void>
}

/** Prisma's documented extension for row-level security: a batch transaction of set_config and the query. */
export async function openPrismaRls(database: BenchDatabase, url: string): Promise<Rival> {
  const PrismaClient = await generatePrismaClient()
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: CONNECTIONS }) })
  const id = (tenant: number) => database.tenants[tenant]?.id ?? ''
  const scoped = (tenant: number, query: () => Promise<unknown>) =>
    prisma.$transaction([prisma.$executeRaw`select set_config('app.tenant', ${id(tenant)}, true)`, query()])
  const select = { id: true, status: true, amount: true }
  return {
    read: (tenant, row) => scoped(tenant, () => prisma.usual.findMany({ where: { id: row }, select })),
    insert: (tenant, row) =>
      scoped(tenant, () =>
        prisma.usual.create({ data: { tenantId: id(tenant), id: row, status: 'new', amount: 1, note: 'x' } }),
      ),
    close: () => prisma.$disconnect(),
  }
}

async function generatePrismaClient(): Promise<new (options: object) => PrismaLike> {
  const root = fileURLToPath(new URL('../', import.meta.url))
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', PRISMA_HIDE_UPDATE_MESSAGE: '1' }
  const cli = createRequire(import.meta.url)
    .resolve('prisma/package.json')
    .replace('package.json', 'build/index.js')
  await promisify(execFile)(process.execPath, [cli, 'generate', '--schema', 'bench/prisma/schema.prisma'], {
    env,
    cwd: root,
  })
  return (await import(`${root}.rowhouse/prisma-bench/client.ts`)).PrismaClient
}
