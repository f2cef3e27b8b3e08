import pg from 'pg'
import { expect } from 'vitest'

/**
 * Holds what a step of a move needs, runs `fn` when the mover waits for it, and lets go. The mover's sessions are told by
 * their name: the application waits too.
 */
export async function whileHeld<T>(url: string, hold: string, fn: () => Promise<T>): Promise<T> {
  const [client, watcher] = [new pg.Client({ connectionString: url }), new pg.Client({ connectionString: url })]
  // What is held may be the server's life.
  for (const each of [client, watcher]) each.on('error', () => {})
  await Promise.all([client.connect(), watcher.connect()])
  try {
    const { rows } = await client.query('select pg_backend_pid() as pid')
    await client.query(`begin; ${hold}`)
    const waits = async () =>
      (
        await watcher.query(
          `select from pg_stat_activity where $1 = any (pg_blocking_pids(pid)) and application_name = 'rowhouse-server'`,
          [rows[0].pid],
        )
      ).rowCount
    await expect.poll(waits, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0)
    return await fn()
  } finally {
    await Promise.all([client.end().catch(() => {}), watcher.end().catch(() => {})])
  }
}
