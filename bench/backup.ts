import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { folderStore, openBackups } from 'rowhouse-server'
import type { BenchDatabase } from './database.ts'
import { round } from './measure.ts'

const ROWS = 100_000
const ROUNDS = 5
/** Memory is looked at while ten times as much is copied. */
const LARGE = 10
const SAMPLE_MS = 10

/**
 * Backup and restore of a tenant in shared tables, beside `COPY` of the same rows by the same driver in the same process, which
 * neither compresses, encrypts, checks nor reads back.
 */
export async function benchBackup({ admin, adminUrl: url, rootKey, tenants }: BenchDatabase) {
  const folder = await mkdtemp(join(tmpdir(), 'rowhouse-bench-'))
  const backups = await openBackups({ url, rootKey, store: folderStore(folder) })
  const [small, neighbour, large] = tenants as [Named, Named, Named]
  try {
    await admin.query(`create table parcel (
      tenant_id uuid not null, id bigint not null, reference text not null, state text not null, weight double precision not null,
      price numeric(12, 2) not null, made_at timestamptz not null, note text, primary key (tenant_id, id), unique (tenant_id, reference))`)
    await admin.query(`alter table parcel owner to rowhouse_owner; select rowhouse.protect('parcel')`)
    for (const [{ id }, rows] of [
      [small, ROWS],
      [neighbour, ROWS],
      [large, ROWS * LARGE],
    ] as const)
      await admin.query(
        `insert into parcel select $1, n, 'PRC-' || md5(n::text), (array['booked', 'sailing', 'landed'])[1 + n % 3], n * 0.37, n % 10000 / 7.0,
                timestamptz '2026-01-01' + n * interval '1 minute', 'Handle with care, row ' || n from generate_series(1, $2::int) n`,
        [id, rows],
      )
    await admin.query('vacuum analyze parcel')
    const bareOut: number[] = []
    const bareIn: number[] = []
    const backup: number[] = []
    const restore: number[] = []
    for (let n = 0; n < ROUNDS; n += 1) {
      const rows: Buffer[] = []
      bareOut.push(await timed(() => copyOut(url, small.id, () => {})))
      backup.push(await timed(() => backups.create(small.slug)))
      const [made] = (await backups.list(small.slug)).slice(-1)
      await copyOut(url, small.id, (chunk) => rows.push(chunk))
      // What a restore begins with: the rows that are there go first, in its transaction.
      bareIn.push(await timed(() => copyIn(url, small.id, rows)))
      restore.push(await timed(() => backups.restore(made?.name ?? '')))
    }
    return {
      rows: ROWS,
      bareOutMs: median(bareOut),
      backupMs: median(backup),
      backupRatio: round(median(bareOut) / median(backup)),
      bareInMs: median(bareIn),
      restoreMs: median(restore),
      restoreRatio: round(median(bareIn) / median(restore)),
      memory: await benchMemory(backups, large.slug),
    }
  } finally {
    await backups.close()
    await rm(folder, { recursive: true })
  }
}

type Named = BenchDatabase['tenants'][number]

/** How much more the process holds at most, in MB. */
async function benchMemory(backups: Awaited<ReturnType<typeof openBackups>>, slug: string) {
  const measure = async <T>(work: () => Promise<T>) => {
    const before = process.memoryUsage().rss
    let most = before
    const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), SAMPLE_MS)
    try {
      const result = await work()
      return { result, addedMb: round((most - before) / 1e6, 0), mostMb: round(most / 1e6, 0) }
    } finally {
      clearInterval(timer)
    }
  }
  const made = await measure(() => backups.create(slug))
  const restored = await measure(() => backups.restore(made.result.name))
  const { rows, bytes, ms } = made.result
  return {
    rows,
    bytes,
    backupMs: round(ms, 0),
    restoreMs: round(restored.result.ms, 0),
    backupMb: made.addedMb,
    restoreMb: restored.addedMb,
    processMb: Math.max(made.mostMb, restored.mostMb),
  }
}

async function copyOut(url: string, tenantId: string, see: (chunk: Buffer) => void): Promise<void> {
  await withClient(url, async (client) => {
    const stream = client.query(copyTo(`copy (select * from parcel where tenant_id = '${tenantId}') to stdout`))
    for await (const chunk of stream) see(chunk)
  })
}

async function copyIn(url: string, tenantId: string, rows: readonly Buffer[]): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('begin; set local session_replication_role = replica')
    await client.query('delete from parcel where tenant_id = $1', [tenantId])
    await pipeline(rows, client.query(copyFrom('copy parcel from stdin')))
    await client.query('commit')
  })
}

async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now()
  await work()
  return performance.now() - beganMs
}

function median(values: readonly number[]): number {
  return round([...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0, 1)
}
