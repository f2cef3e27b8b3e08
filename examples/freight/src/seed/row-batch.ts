import type { Transaction } from 'rowhouse'

type Cell = string | number | boolean | null

/**
 * Rows of one table, collected by column and written by one statement.
 *
 * `INSERT … SELECT FROM unnest(…)` is the fast way in: PostgreSQL refuses COPY FROM for tables with row-level
 * security, and an INSERT per row would cost a round trip each. `tenant_id` is never sent: its default reads the
 * sealed context, and the policy checks it.
 */
export class RowBatch<Column extends string> {
  readonly #table: string
  readonly #columns: readonly Column[]
  readonly #cells: readonly Cell[][]
  readonly #sql: string

  /** @param types  PostgreSQL type of each column. Table and columns are spliced into SQL: constants of the code only */
  constructor(table: string, types: Readonly<Record<Column, string>>) {
    this.#table = table
    this.#columns = Object.keys(types) as Column[]
    this.#cells = this.#columns.map(() => [])
    const names = this.#columns.join(', ')
    const arrays = this.#columns.map((column, index) => `$${index + 1}::${types[column]}[]`).join(', ')
    this.#sql = `insert into ${table} (${names}) select * from unnest(${arrays})`
  }

  get size(): number {
    return this.#cells[0]?.length ?? 0
  }

  add(row: Readonly<Record<Column, Cell>>): void {
    this.#columns.forEach((column, index) => {
      this.#cells[index]?.push(row[column])
    })
  }

  /** Writes the rows. @throws {Error} when PostgreSQL did not take every one of them */
  async insert(tx: Transaction): Promise<void> {
    if (this.size === 0) return
    const { rowCount } = await tx.query(this.#sql, this.#cells)
    if (rowCount !== this.size) throw new Error(`Cannot seed "${this.#table}": wrote ${rowCount} of ${this.size} rows`)
  }
}
