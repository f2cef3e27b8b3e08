import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { tenantSafePrisma } from 'rowhouse/prisma'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'
import { type OrmUnderTest, ormConformance } from './conformance.ts'

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))

interface ItemModel {
  findMany(args: object): Promise<{ label: string }[]>
  findUnique(args: object): Promise<{ label: string } | null>
  create(args: object): Promise<{ label: string }>
}

/** The generated client is not there when types are checked; these are the parts the suite uses. */
interface Client {
  item: ItemModel
  $queryRaw(text: TemplateStringsArray): Promise<{ level: string }[]>
  $transaction<T>(fn: (tx: Client) => Promise<T>, options?: object): Promise<T>
  $disconnect(): Promise<void>
}

/** Prisma writes the client with its CLI; the schema engine it would download is not needed for that. */
async function generateClient(): Promise<new (options: object) => Client> {
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', PRISMA_HIDE_UPDATE_MESSAGE: '1' }
  const cli = createRequire(import.meta.url)
    .resolve('prisma/package.json')
    .replace('package.json', 'build/index.js')
  const schema = fileURLToPath(new URL('./prisma/schema.prisma', import.meta.url))
  await promisify(execFile)(process.execPath, [cli, 'generate', '--schema', schema], { env, cwd: ROOT })
  return (await import(/* @vite-ignore */ `${ROOT}.rowhouse/prisma-test/client.ts`)).PrismaClient
}

let n: Neighbours
let prisma: Client
let PrismaClient: Awaited<ReturnType<typeof generateClient>>
beforeAll(async () => {
  PrismaClient = await generateClient()
  n = await createNeighbours()
  prisma = tenantSafePrisma(n.rowhouse, new PrismaClient({ adapter: new PrismaPg(n.rowhouse.pool) }))
}, 60_000)
afterAll(async () => {
  await prisma.$disconnect().catch(() => {})
  await n.close()
})

class Undo extends Error {}

const orm: OrmUnderTest = {
  labels: async () =>
    (await prisma.item.findMany({ where: { id: { lt: 100 } }, orderBy: { id: 'asc' } })).map((row) => row.label),
  // findUnique on purpose: Prisma merges those of one tick into one statement.
  labelOf: async (id) => (await prisma.item.findUnique({ where: { id } }))?.label,
  insert: async (id, label) => void (await prisma.item.create({ data: { id, label } })),
  insertFor: async (tenantId, id) => void (await prisma.item.create({ data: { tenantId, id, label: 'planted' } })),
  transactionThatFails: async (id) => {
    let labels: string[] = []
    const transaction = prisma.$transaction(
      async (tx) => {
        const [first] = await tx.item.findMany({})
        await tx.item.create({ data: { id, label: `${first?.label}` } })
        labels = (await tx.item.findMany({})).map((row) => row.label)
        throw new Undo()
      },
      { maxWait: 20_000, timeout: 20_000 },
    )
    await transaction.catch((error) => {
      if (!(error instanceof Undo)) throw error
    })
    return labels
  },
  isolationLevel: async (level) => {
    const isolationLevel = level === 'serializable' ? 'Serializable' : 'RepeatableRead'
    const rows = await prisma.$transaction(
      (tx) => tx.$queryRaw`select current_setting('transaction_isolation') as level`,
      { isolationLevel },
    )
    return rows[0]?.level ?? ''
  },
}

ormConformance(
  'Prisma',
  () => n,
  () => orm,
)

describe('a Prisma client that was not wrapped', () => {
  it('is refused by rowhouse.pool with the remedy', async () => {
    const rowhouse = await n.open()
    const bare = new PrismaClient({ adapter: new PrismaPg(rowhouse.pool) })
    const attempt = rowhouse.withTenant('acme', () => bare.item.findUnique({ where: { id: 1 } }))
    await expect(attempt).rejects.toSatisfy((error) => /tenantSafePrisma/.test(`${error} ${(error as Error).cause}`))
  })

  it('answers tenants with other tenants’ rows when they ask in one tick (positive control)', async () => {
    const rowhouse = await n.open()
    // The same merge on the stock adapter: our pool under a listener name that the guard does not know.
    const pool = new Proxy(rowhouse.pool, {
      get: (target, key) => {
        const value = Reflect.get(target, key)
        if (key === 'on') return () => target
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    expect(pool).toBeInstanceOf(pg.Pool)
    const bare = new PrismaClient({ adapter: new PrismaPg(pool) })
    const slugs = Array.from({ length: 100 }, (_, i) => (i % 2 ? 'acme' : 'globex'))
    for (const slug of ['acme', 'globex']) await rowhouse.withTenant(slug, () => bare.item.findMany({}))
    const labels = await Promise.all(
      slugs.map((slug) =>
        rowhouse.withTenant(slug, async () => (await bare.item.findUnique({ where: { id: 1 } }))?.label),
      ),
    )
    const wrong = labels.filter((label, i) => label !== `${slugs[i]}1`)
    expect(wrong.length).toBeGreaterThan(0)
  })
})

describe('a foreign row that comes back to Prisma', () => {
  it('trips the wire; with the tripwire off it is delivered (positive control)', async () => {
    const weak = await createNeighbours()
    await weak.inHomes(`
      drop policy rowhouse_tenant on item; drop policy if exists rowhouse_wall on item;
      create policy opened on item using (true)`)
    const alarms: string[] = []
    const open = async (tripwire: 'enforce' | 'off') => {
      const rowhouse = await weak.open({
        tripwire,
        onAlarm: ({ foreignTenantId }) => alarms.push(`${foreignTenantId}`),
      })
      const client = tenantSafePrisma(rowhouse, new PrismaClient({ adapter: new PrismaPg(rowhouse.pool) }))
      return { client, read: () => rowhouse.withTenant('acme', () => client.item.findMany({})) }
    }
    const off = await open('off')
    expect(await off.read()).toHaveLength(6)
    expect(alarms).toEqual([])
    const enforcing = await open('enforce')
    await expect(enforcing.read()).rejects.toThrow('Cannot return the rows')
    expect(alarms).toEqual([weak.b.id])
    for (const { client } of [off, enforcing]) await client.$disconnect()
    await weak.close()
  })
})
