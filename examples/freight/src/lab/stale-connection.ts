/** A connection kept from one tenant's request and used in another's: the classic of pooled connections. */

import { randomUUID } from 'node:crypto'
import type { Pool, PoolClient } from 'pg'
import type { Rowhouse } from 'rowhouse'
import { type Attempt, judge, refusedBy, type Tried } from './attempt.ts'
import type { LabTenant } from './lab-tenant.ts'
import { loopbackRequest } from './loopback-request.ts'

export interface StaleConnectionsConfig {
  readonly rowhouse: Rowhouse
  /** Stock pool of the login that reaches the weak twins, for the control. */
  readonly stockPool: Pool
  readonly port: () => number
  readonly tenants: readonly LabTenant[]
}

const READ_SHIPMENTS = 'select number, status, tenant_id from shipment limit 5'
const READ_TWIN = 'select number, status, tenant_id from lab.setting_shipment limit 5'

interface Kept {
  readonly client: PoolClient
  readonly sql: string
  readonly tried: Tried
}

/**
 * Keeps connections between requests under a ticket. Each ticket lives as long as the request that made it: that
 * request waits for the second one, then gives the connection back.
 */
export class StaleConnections {
  readonly #config: StaleConnectionsConfig
  readonly #kept = new Map<string, Kept>()

  constructor(config: StaleConnectionsConfig) {
    this.#config = config
  }

  /** In a request of the own tenant: takes connections, then lets a request of `victim` use them. */
  async attack(own: LabTenant, victim: LabTenant): Promise<Attempt[]> {
    const { rowhouse, stockPool } = this.#config
    const sealed = await rowhouse.pool.connect()
    const stock = await stockPool.connect()
    try {
      await sealed.query(READ_SHIPMENTS)
      // The usual way: the tenant is set on the connection and stays there.
      await stock.query(`select set_config('app.tenant_id', $1, false)`, [own.id])
      const attack = `connection of ${own.slug} in a request of ${victim.slug}`
      return [
        await this.#borrow(victim, {
          client: sealed,
          sql: READ_SHIPMENTS,
          tried: { attack, wall: 'Rowhouse: sealed context', isControl: false, sent: READ_SHIPMENTS },
        }),
        await this.#borrow(victim, {
          client: stock,
          sql: READ_TWIN,
          tried: { attack, wall: 'Control: tenant set on the connection', isControl: true, sent: READ_TWIN },
        }),
      ]
    } finally {
      sealed.release()
      stock.release(true)
    }
  }

  /** In a request of another tenant: uses the connection kept under `ticket`; undefined when there is none. */
  async use(ticket: string): Promise<Attempt | undefined> {
    const kept = this.#kept.get(ticket)
    if (kept === undefined) return undefined
    const tenantId = this.#config.rowhouse.currentTenant().id
    try {
      const { rows } = await kept.client.query<Record<string, unknown>>(kept.sql)
      const others = this.#config.tenants.filter(({ id }) => id !== tenantId)
      return judge(kept.tried, { rows, written: 0, ownRows: 0 }, others)
    } catch (error) {
      return refusedBy(kept.tried, error)
    }
  }

  async #borrow(victim: LabTenant, kept: Kept): Promise<Attempt> {
    const ticket = randomUUID()
    this.#kept.set(ticket, kept)
    try {
      const port = this.#config.port()
      const host = `${victim.slug}.localhost:${port}`
      const answer = await loopbackRequest(port, `/lab/stale/${ticket}`, ['Host', host, 'X-Api-Key', victim.apiKey])
      if (answer.status !== 200)
        throw new Error(`Cannot try the connection: the second request was answered ${answer.status}`)
      return JSON.parse(answer.body) as Attempt
    } finally {
      this.#kept.delete(ticket)
    }
  }
}
