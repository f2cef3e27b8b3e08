import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { percentiles, round } from './measure.ts'
import type { MovePlatform } from './move-platform.ts'

const SAMPLES = 40
const COPY_TIMEOUT_MS = 60_000

/**
 * The peer: row-filtered logical replication of the same rows between the same servers. Publication with a row filter,
 * the slot first, then the subscription, as the manual wants it where a server may not wait for itself.
 */
export async function benchReplication({ admin, adminUrl, old, connections }: MovePlatform, tenantId: string) {
  const target = new pg.Client({ connectionString: old.url })
  await target.connect()
  try {
    await target.query('truncate public.shipment')
    const beganMs = performance.now()
    await admin.query(`create publication peer for table shipment where (tenant_id = '${tenantId}')`)
    await admin.query(`select pg_create_logical_replication_slot('peer', 'pgoutput')`)
    await target.query(
      `create subscription peer connection '${adminUrl}' publication peer with (create_slot = false, slot_name = 'peer')`,
    )
    await untilSynchronised(target)
    const copyMs = performance.now() - beganMs
    const appliedMs: number[] = []
    for (let n = 0; n < SAMPLES; n++) appliedMs.push(await lastWriteApplied(admin, target, tenantId, `peer-${n}`))
    return { copyMs: round(copyMs, 0), appliedMs: percentiles(appliedMs) }
  } finally {
    await target.query('alter subscription peer disable').catch(() => {})
    await target.query('alter subscription peer set (slot_name = none)').catch(() => {})
    await target.query('drop subscription if exists peer')
    await target.query('truncate public.shipment')
    await target.end()
    await dropSlot(admin)
    await admin.query('drop publication if exists peer')
    await admin.query(`delete from shipment where reference like 'peer-%'`)
    await connections.disconnect({ server: 'old-1', database: undefined })
  }
}

async function untilSynchronised(target: pg.Client): Promise<void> {
  for (const beganMs = performance.now(); performance.now() - beganMs < COPY_TIMEOUT_MS; await delay(5)) {
    const { rows } = await target.query<{ ready: boolean }>(
      `select bool_and(srsubstate = 'r') as ready from pg_subscription_rel`,
    )
    if (rows[0]?.ready === true) return
  }
  throw new Error('Cannot measure the peer: its subscription did not synchronise within a minute')
}

/** What a cut by replication waits for at least: from the answer to a commit until the row is there. */
async function lastWriteApplied(admin: pg.Client, target: pg.Client, tenantId: string, reference: string) {
  await admin.query('insert into shipment (tenant_id, reference) values ($1, $2)', [tenantId, reference])
  const beganMs = performance.now()
  for (;;) {
    const { rowCount } = await target.query(
      `select from public.shipment where tenant_id = $1 and reference = $2 and booked_at > now() - interval '1 minute'`,
      [tenantId, reference],
    )
    if (rowCount === 1) return performance.now() - beganMs
    if (performance.now() - beganMs > COPY_TIMEOUT_MS) throw new Error('Cannot measure the peer: a row never came')
  }
}

async function dropSlot(admin: pg.Client): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const { rowCount } = await admin.query(`select from pg_replication_slots where slot_name = 'peer' and active`)
    if (rowCount === 0) break
    await delay(50) // bounded: 5 s
  }
  await admin.query(`select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'peer'`)
}
