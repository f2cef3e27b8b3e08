/** The three walls an attack is tried on: Rowhouse, and two weak ones as controls. */

import type pg from 'pg'
import type { Rowhouse, Statements } from 'rowhouse'
import type { Outcome } from './attempt.ts'

export interface Wall {
  readonly name: string
  readonly isControl: boolean
  /** Table that is attacked for reading, and the one attacked for writing. */
  readonly table: string
  readonly writeTable: string
  /** Condition a careful application writes itself; empty where the database does it. */
  ownCondition(tenantId: string): string
  /** Arguments of `set_config` that would make the session another tenant's, if it could. */
  switchTo(victimId: string): string
  /** Column that a blind update changes, with its value. */
  readonly update: string
  /** Statement that plants a row with another tenant. */
  plant(victimId: string): string
  /** Runs SQL as the tenant of the calling code in a transaction that is rolled back. */
  run(sql: string): Promise<Outcome>
}

/** An attack may be a slow statement: no visitor gets more of the machine than this. */
const TIMEOUT_MS = 5_000

/** Thrown to leave a transaction without a trace. */
const UNDO = new Error('undo')

/** The application's own way to the database. Nothing here is special: `rowhouse.db`, as in every route. */
export function rowhouseWall(rowhouse: Rowhouse): Wall {
  return {
    name: 'Rowhouse: sealed context',
    isControl: false,
    table: 'shipment',
    writeTable: 'customer',
    ownCondition: () => '',
    switchTo: (victimId) =>
      `'rowhouse.seal', overlay(current_setting('rowhouse.seal') placing '${victimId}' from 65), true`,
    update: 'credit_days = 0',
    plant: (victimId) =>
      `insert into customer (tenant_id, code, name, country) values ('${victimId}', 'EVIL', 'Planted', 'Nowhere')`,
    run: async (sql) => {
      let outcome: Outcome | undefined
      const attack = rowhouse.db.transaction({ timeoutMs: TIMEOUT_MS }, async (tx) => {
        outcome = await runAndCount(tx, sql)
        throw UNDO
      })
      await attack.catch((error) => {
        if (error !== UNDO) throw error
      })
      if (outcome === undefined) throw new Error('Cannot judge the attack: it neither ran nor failed')
      return outcome
    },
  }
}

async function runAndCount(tx: Statements, sql: string): Promise<Outcome> {
  const { rows, rowCount, command } = await tx.query(sql)
  const writes = WRITES.has(command)
  const ownRows = writes ? (await tx.one<{ own: number }>('select count(*)::int as own from customer')).own : 0
  return { rows, written: writes ? (rowCount ?? 0) : 0, ownRows }
}

const WRITES: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/**
 * The usual way: row-level security on a plain setting, set at the start of the transaction on a stock connection.
 *
 * @param pool  stock pool of the login that reaches the weak twins
 */
export function settingWall(pool: pg.Pool, tenantOf: () => string): Wall {
  return {
    ...twin('lab.setting_shipment', pool, tenantOf),
    name: 'Control: row-level security on a plain setting',
    ownCondition: () => '',
  }
}

/** No policy: every statement of the application has to name the tenant. */
export function openWall(pool: pg.Pool, tenantOf: () => string): Wall {
  return {
    ...twin('lab.open_shipment', pool, tenantOf),
    name: 'Control: no policy, the application adds WHERE',
    ownCondition: (tenantId) => `tenant_id = '${tenantId}' and `,
  }
}

function twin(table: string, pool: pg.Pool, tenantOf: () => string): Omit<Wall, 'name' | 'ownCondition'> {
  return {
    isControl: true,
    table,
    writeTable: table,
    switchTo: (victimId) => `'app.tenant_id', '${victimId}', true`,
    update: `status = 'cancelled'`,
    plant: (victimId) => `insert into ${table} values ('${victimId}', 'PLANTED', 'booked', 'AEDXB', 'NLRTM')`,
    run: (sql) => runOnStockConnection(pool, table, tenantOf(), sql),
  }
}

/** The connection is closed afterwards: an attack may have left anything on it. */
async function runOnStockConnection(pool: pg.Pool, table: string, tenantId: string, sql: string): Promise<Outcome> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query(`select set_config('app.tenant_id', $1, true), set_config('statement_timeout', $2, true)`, [
      tenantId,
      String(TIMEOUT_MS),
    ])
    // Without parameters, `pg` sends the simple protocol: several statements in one text run one after another.
    const answer: pg.QueryResult | pg.QueryResult[] = await client.query(sql)
    const results = Array.isArray(answer) ? answer : [answer]
    const written = results.filter(({ command }) => WRITES.has(command))
    const { rows: own } = await client.query(`select count(*)::int as own from ${table} where tenant_id = $1`, [
      tenantId,
    ])
    await client.query('rollback')
    return {
      rows: results.flatMap(({ rows }) => rows ?? []),
      written: written.reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0),
      ownRows: own[0]?.own ?? 0,
    }
  } finally {
    client.release(true)
  }
}
