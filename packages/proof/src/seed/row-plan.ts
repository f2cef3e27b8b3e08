/**
 * Rows for a schema nobody described: the same ids for every tenant, so that nothing but the tenant tells them apart.
 *
 * Columns that foreign keys tie together form a class, and a class has one value per row number. Row 2 of a child
 * therefore refers to row 2 of each of its parents, whatever keys they have; and row 2 of one tenant has the ids of
 * row 2 of every other.
 */

import type { ColumnFacts, PartitionBound, SchemaFacts, TableFacts } from './schema-facts.ts'

/** SQL literals by column, in the order of the table. */
export type Row = ReadonlyMap<string, string>

export interface RowPlan {
  /** Returns the row with a number for a tenant, or why there can be none. */
  row(table: TableFacts, tenantId: string, number: number): Row | { readonly reason: string }
}

export function planRows(facts: SchemaFacts): RowPlan {
  const classes = new ColumnClasses(facts)
  return {
    row(table, tenantId, number) {
      const values = new Map<string, string>()
      for (const column of table.columns) {
        if (column.generated) continue
        const value = classes.isTenant(table.name, column.name)
          ? literal(tenantId, column.type)
          : classes.valueOf(table, column, number)
        if (value === undefined) {
          if (!column.nullable) return { reason: `no value is known for ${column.name} of type ${column.type}` }
          continue
        }
        values.set(column.name, value)
      }
      return values
    },
  }
}

/** Groups columns that foreign keys make equal; union-find over `table.column`. */
class ColumnClasses {
  readonly #parent = new Map<string, string>()
  readonly #number = new Map<string, number>()
  readonly #tenant = new Set<string>()
  readonly #bounds = new Map<string, string>()

  constructor(facts: SchemaFacts) {
    for (const table of facts.tables)
      for (const key of table.foreignKeys)
        key.columns.forEach((column, index) => {
          this.#join(at(table.name, column), at(key.references, key.referenced[index] ?? ''))
        })
    // A child inherits the columns of its parent, and what they refer to.
    for (const { name, parent, columns } of facts.tables)
      if (parent !== undefined) for (const column of columns) this.#join(at(name, column.name), at(parent, column.name))
    for (const { name, tenantColumn, bound } of facts.tables) {
      if (tenantColumn !== undefined) this.#tenant.add(this.#find(at(name, tenantColumn)))
      for (const [column, value] of placeIn(bound)) this.#bounds.set(this.#find(at(name, column)), value)
    }
  }

  isTenant(table: string, column: string): boolean {
    return this.#tenant.has(this.#find(at(table, column)))
  }

  valueOf(table: TableFacts, column: ColumnFacts, number: number): string | undefined {
    const root = this.#find(at(table.name, column.name))
    const bound = this.#bounds.get(root)
    if (bound !== undefined) return literal(bound, column.type)
    let index = this.#number.get(root)
    if (index === undefined) {
      index = this.#number.size + 1
      this.#number.set(root, index)
    }
    return typedValue(column, index, number)
  }

  #find(name: string): string {
    let root = name
    for (let up = this.#parent.get(root); up !== undefined; up = this.#parent.get(root)) root = up
    return root
  }

  #join(a: string, b: string): void {
    const [from, to] = [this.#find(a), this.#find(b)]
    if (from !== to) this.#parent.set(from, to)
  }
}

/** Returns a row with what its partition, and each it lies in, wants of it. */
export function inPartition(facts: SchemaFacts, table: TableFacts, row: Row): Row {
  const values = new Map(row)
  for (let at: TableFacts | undefined = table; at?.partition; at = facts.tables.find(({ name }) => name === at?.parent))
    // Whose row it is stays: a partition of another tenant's has none.
    for (const [column, value] of placeIn(at.ownBound))
      if (column !== table.tenantColumn)
        values.set(column, literal(value, table.columns.find(({ name }) => name === column)?.type ?? 'text'))
  return values
}

/** The first values of a partition: a range starts with them, a list contains them. A range without a start ends in none. */
function placeIn(bound: PartitionBound | undefined): [column: string, value: string][] {
  const values =
    /(?:IN|FROM) \((.*?)\)(?: TO |$)/.exec(bound?.text ?? '')?.[1]?.match(/'(?:[^']|'')*'|[^,\s][^,]*/g) ?? []
  return (bound?.columns ?? []).flatMap((column, index) => {
    const value = values[index]
    if (value === undefined || value === 'MINVALUE' || value === 'NULL') return []
    return [[column, value.startsWith("'") ? value.slice(1, -1).replaceAll("''", "'") : value]]
  })
}

function at(table: string, column: string): string {
  return `${table}.${column}`
}

function literal(value: string, type: string): string {
  return `'${value.replaceAll("'", "''")}'::${type}`
}

/** @param index  of the column's class, so that two columns differ where their type has room for it */
function typedValue(column: ColumnFacts, index: number, number: number): string | undefined {
  const { type, array } = column
  const text = scalar(column, index, number)
  if (text === undefined) return undefined
  return literal(array ? `{"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"}` : text, type)
}

function scalar(column: ColumnFacts, index: number, number: number): string | undefined {
  const { base, kind, labels, subtype, length } = column
  if (kind === 'e') return labels[number % labels.length]
  if (kind === 'r' || kind === 'm') {
    const [from, to] = [plain(subtype, index, number * 2, 0), plain(subtype, index, number * 2 + 1, 0)]
    if (from === undefined || to === undefined) return undefined
    const range = `["${from}","${to}")`
    return kind === 'm' ? `{${range}}` : range
  }
  if (kind === 'c') return composite(column, index, number)
  return kind === 'b' ? plain(base, index, number, length) : undefined
}

/** Fields whose type has no value here are left empty: the row is one all the same. */
function composite({ fields }: ColumnFacts, index: number, number: number): string {
  const values = fields.map((type) => {
    const value = plain(type, index, number, 0)
    return value === undefined ? '' : `"${value.replaceAll('\\', '\\\\').replaceAll('"', '""')}"`
  })
  return `(${values.join(',')})`
}

/** A value of a base type that differs by number. Small, because `numeric(3,2)` and `smallint` exist. */
function plain(type: string, index: number, number: number, length: number): string | undefined {
  const day = String(10 + (number % 18)).padStart(2, '0')
  const name = type.replace(/^.*\./, '').replaceAll('"', '')
  switch (name) {
    case 'smallint':
    case 'integer':
    case 'bigint':
    case 'numeric':
    case 'real':
    case 'double precision':
    case 'oid':
    case 'money':
    case 'xid':
    case 'xid8':
    case 'cid':
    case 'int2vector':
    case 'oidvector':
    case 'tsvector':
    case 'ltree':
      return String(number)
    case 'tid':
      return `(0,${number})`
    case 'pg_lsn':
      return `0/${number}`
    case 'pg_snapshot':
    case 'txid_snapshot':
      return `${number}:${number}:`
    case 'jsonpath':
      return `$.n${number}`
    case 'refcursor':
    case 'text':
    case 'character varying':
    case 'character':
    case 'name':
    case 'citext':
    case '"char"':
    case 'char':
    case 'xml':
      return name === 'char' ? String(number % 10) : words(index, number, length)
    case 'uuid':
      return `00000000-0000-4000-8${String(index).padStart(3, '0').slice(-3)}-${String(number).padStart(12, '0')}`
    case 'boolean':
      return number % 2 === 0 ? 'true' : 'false'
    case 'date':
      return `2030-01-${day}`
    case 'timestamp without time zone':
    case 'timestamp with time zone':
      return `2030-01-${day} 12:00:00+00`
    case 'time without time zone':
    case 'time with time zone':
      return `${day}:00:00+00`
    case 'interval':
      return `${number} days`
    case 'json':
    case 'jsonb':
      return `{"n": ${number}}`
    case 'bytea':
      return `\\x${String(number).padStart(4, '0')}`
    case 'inet':
    case 'cidr':
      return `10.0.${index % 250}.${number % 250}`
    case 'macaddr':
      return `08:00:2b:01:02:${String(number % 100).padStart(2, '0')}`
    case 'bit':
    case 'bit varying':
      return number
        .toString(2)
        .padStart(length || 1, '0')
        .slice(-(length || 8))
    case 'point':
      return `(${number},${number})`
    case 'box':
    case 'lseg':
    case 'path':
      return `((${number},${number}),(${number + 1},${number + 1}))`
    case 'polygon':
      return `((0,0),(${number},0),(0,${number}))`
    case 'circle':
      return `<(0,0),${number}>`
    case 'line':
      return `{1,${number},1}`
    case 'tsquery':
    case 'lquery':
    case 'hstore':
      return name === 'hstore' ? `n=>${number}` : `n${number}`
    case 'vector':
    case 'halfvec':
      return `[${Array.from({ length: length || 3 }, () => number).join(',')}]`
    case 'macaddr8':
      return `08:00:2b:01:02:03:04:${String(number % 100).padStart(2, '0')}`
    case 'regclass':
    case 'regtype':
    case 'regrole':
    case 'regnamespace':
    case 'regproc':
    case 'regprocedure':
    case 'regoper':
    case 'regoperator':
    case 'regcollation':
    case 'regconfig':
    case 'regdictionary':
      return String(number)
    case 'geometry':
    case 'geography':
      return `POINT(${number} ${number})`
    default:
      return undefined
  }
}

function words(index: number, number: number, length: number): string {
  const text = `v${index}-${number}`
  return length === 0 || text.length <= length ? text : number.toString(36).padStart(length, '0').slice(-length)
}
