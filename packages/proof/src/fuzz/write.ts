import { type Draw, randomTypes, type Source } from './draw.ts'
import { condition, expression, literal, smallest } from './expression.ts'
import { OTHERS, type Relation, type SqlType, TENANTS, UNITS, WRITABLE } from './fixture.ts'
import { columnsOf, sourceOf } from './from-clause.ts'
import { query, where } from './query.ts'
import { choice, list, optional, sql, type Tree } from './tree.ts'

interface Write {
  readonly tree: Tree
  /** Relation the statement names; what else changes, changes by foreign keys. */
  readonly target: string
}

export type WriteKind = 'insert' | 'update' | 'delete' | 'merge' | 'modifying'

/** Makes a statement that writes. With `unitsFirst`, mostly to tables with unit scope. */
export function write(draw: Draw, kind: WriteKind, unitsFirst: boolean): Write {
  const { random } = draw
  const scoped = WRITABLE.filter(({ unitScope }) => unitScope)
  const relation = random.pick(unitsFirst && random.chance(70) ? scoped : WRITABLE)
  const target = sourceOf(relation, draw.newName('t'))
  switch (kind) {
    case 'insert':
      return { target: relation.name, tree: sql`${insert(draw, relation, target)}${returning(draw, target)}` }
    case 'update':
      return { target: relation.name, tree: sql`${update(draw, relation, target)}${returning(draw, target)}` }
    case 'delete':
      return { target: relation.name, tree: sql`${remove(draw, relation, target)}${returning(draw, target)}` }
    case 'merge':
      return { target: relation.name, tree: merge(draw, relation, target) }
    case 'modifying':
      return { target: relation.name, tree: modifying(draw, relation, target) }
  }
}

function insert(draw: Draw, relation: Relation, target: Source): Tree {
  const { random } = draw
  const columns = chooseColumns(draw, relation)
  const names = list(columns, { before: ' (', after: ')', minimum: 1 })
  const head = sql`insert into ${relation.name} as ${target.alias}${names} `
  const row = () =>
    sql`(${list(
      columns.map((column) => value(draw, relation, column)),
      { minimum: 1 },
    )})`
  const rows = random.chance(25)
    ? insertedQuery(draw, relation, columns)
    : sql`values ${list(Array.from({ length: random.int(1, 3) }, row), { minimum: 1 })}`
  return sql`${head}${rows}${optional(random.chance(40) ? onConflict(draw, relation, target) : undefined)}`
}

/** New ids come from a total order over the query's rows, so that each row gets the same one everywhere. */
function insertedQuery(draw: Draw, relation: Relation, columns: readonly string[]): Tree {
  const types: SqlType[] = ['int', 'text']
  const inner = query(draw, types, [], 1)
  const items = columns.map((column) => {
    if (column === relation.key.at(-1) || column === 'serial')
      return `${draw.random.pick([60, 0])} + (row_number() over (order by q.c1, q.c2))::int`
    return value(draw, relation, column)
  })
  return sql`select ${list(items, { minimum: 1 })} from (${inner}) q order by q.c1, q.c2`
}

function onConflict(draw: Draw, relation: Relation, target: Source): Tree {
  const { random } = draw
  const key = relation.name.endsWith('ledger') && random.chance(40) ? ['serial'] : relation.key
  const arbiter = `(tenant_id, ${key.join(', ')})`
  if (random.chance(40)) return ` on conflict ${random.chance(50) ? arbiter : ''} do nothing`
  const excluded: Source = { alias: 'excluded', columns: target.columns, key: target.key }
  const sets = assignments(draw, relation, [target, excluded], 1)
  const only = random.chance(40) ? sql` where ${condition(draw, [target, excluded], 1)}` : undefined
  return sql` on conflict ${arbiter} do update set ${sets}${optional(only)}`
}

function update(draw: Draw, relation: Relation, target: Source): Tree {
  const { random } = draw
  const other = random.chance(25) ? uniquePartner(draw, target) : undefined
  const sources = other === undefined ? [target] : [target, other.source]
  const sets = assignments(draw, relation, sources, 2)
  const head = sql`update ${relation.name} ${target.alias} set ${sets}`
  if (other === undefined) return sql`${head}${blindOrWhere(draw, sources)}`
  const more = random.chance(50) ? [condition(draw, sources, 1)] : []
  return sql`${head} from ${other.tree} where ${list([other.on, ...more], { separator: ' and ', minimum: 1 })}`
}

function remove(draw: Draw, relation: Relation, target: Source): Tree {
  const { random } = draw
  const head = sql`delete from ${relation.name} ${target.alias}`
  const other = random.chance(25) ? uniquePartner(draw, target) : undefined
  if (other === undefined) return sql`${head}${blindOrWhere(draw, [target])}`
  const more = random.chance(50) ? [condition(draw, [target, other.source], 1)] : []
  return sql`${head} using ${other.tree} where ${list([other.on, ...more], { separator: ' and ', minimum: 1 })}`
}

/** A third of the writes has no WHERE: then nothing but the policies says whose rows they are. */
function blindOrWhere(draw: Draw, sources: readonly Source[]): Tree {
  return draw.random.chance(34) ? '' : where(draw, sources, 2)
}

/** Joins by the whole key, so that no row has two partners: which of two PostgreSQL takes is not defined. */
function uniquePartner(draw: Draw, target: Source): { tree: Tree; source: Source; on: Tree } | undefined {
  const { random } = draw
  const mine = target.columns.filter(({ type }) => type === 'int')
  const partners = WRITABLE.filter(({ key, name }) => key.length === 1 && name !== 'event_low')
  if (mine.length === 0) return undefined
  const relation = random.pick(partners)
  const source = sourceOf(relation, draw.newName('t'))
  const on = `${source.alias}.id = ${target.alias}.${random.pick(mine).name}`
  return { tree: `${relation.name} ${source.alias}`, source, on }
}

function merge(draw: Draw, relation: Relation, target: Source): Tree {
  const { random, major } = draw
  const inner = query(draw, ['int', 'text'], [], 1)
  const source: Source = { alias: 's', columns: columnsOf(['int', 'text']), key: ['c1'] }
  const using = sql`(select q.c1, min(q.c2) as c2 from (${inner}) q group by q.c1) s`
  const id = relation.key.at(-1) ?? 'id'
  const when = () => optional(random.chance(35) ? sql` and ${condition(draw, [target, source], 1)}` : undefined)
  const arms: Tree[] = []
  if (random.chance(75)) {
    const act = random.chance(65) ? sql`update set ${assignments(draw, relation, [target, source], 1)}` : 'delete'
    arms.push(sql` when matched${when()} then ${act}`)
  }
  if (random.chance(65) || arms.length === 0) {
    const columns = chooseColumns(draw, relation)
    const values = columns.map((column) => (column === id ? 's.c1' : value(draw, relation, column)))
    const unless = optional(random.chance(50) ? sql` and ${condition(draw, [source], 1)}` : undefined)
    arms.push(
      sql` when not matched${unless} then insert ${list(columns, { before: '(', after: ')', minimum: 1 })} values ${list(values, { before: '(', after: ')', minimum: 1 })}`,
    )
  }
  if (major >= 17 && random.chance(20)) {
    const act = random.chance(50) ? 'delete' : sql`update set ${assignments(draw, relation, [target], 1)}`
    arms.push(sql` when not matched by source then ${act}`)
  }
  const result = major >= 17 ? returning(draw, target) : ''
  return sql`merge into ${relation.name} ${target.alias} using ${using} on ${target.alias}.${id} = s.c1${list(arms, { separator: '', minimum: 1 })}${result}`
}

function modifying(draw: Draw, relation: Relation, target: Source): Tree {
  const { random } = draw
  const name = draw.newName('w')
  const make = random.pick([insert, update, remove])
  const types: SqlType[] = ['int', 'text']
  const columns = types.map((type, index) => sql`${expression(draw, type, [target], 0)} as c${index + 1}`)
  const writes = sql`${make(draw, relation, target)} returning ${list(columns, { minimum: 1 })}`
  const reads = query(draw, randomTypes(random, 1, 3), [], 2, [{ name, columns: columnsOf(types) }])
  return sql`with ${name} as (${writes}) ${reads}`
}

function returning(draw: Draw, target: Source): Tree {
  const { random, major } = draw
  if (random.chance(45)) return ''
  const types = randomTypes(random, 1, 3)
  const versions = ['old', 'new'].map((alias) => ({ ...target, alias }))
  const sources = major >= 18 && random.chance(25) ? [random.pick(versions)] : [target]
  const items = types.map((type, index) => sql`${expression(draw, type, sources, 1)} as c${index + 1}`)
  return list(items, { before: ' returning ' })
}

/** The key, always; the rest now and then; and now and then whose row it shall be. */
function chooseColumns({ random }: Draw, relation: Relation): string[] {
  const needed = relation.key.concat(
    relation.writable.filter((name) => name === 'serial' || name === 'customer_id' || name === 'name'),
  )
  const more = relation.writable.filter((name) => !needed.includes(name) && random.chance(50))
  const tenant = random.chance(35) ? ['tenant_id'] : []
  return [...tenant, ...needed, ...more]
}

function assignments(draw: Draw, relation: Relation, sources: readonly Source[], depth: number): Tree {
  const { random } = draw
  const target = sources[0]?.alias ?? ''
  const names = relation.writable.filter(() => random.chance(35))
  const chosen = names.length > 0 ? names : [random.pick(relation.writable)]
  const items = chosen.map((name) => sql`${name} = ${assigned(draw, relation, name, sources, depth)}`)
  // Far beyond every id there is, so that rows cannot collide on their way, in whatever order they are taken.
  if (random.chance(8))
    items.push(sql`${relation.key.at(-1) ?? 'id'} = ${target}.${relation.key.at(-1) ?? 'id'} + 1000`)
  if (relation.unitScope && random.chance(12)) items.push(sql`unit_id = '${random.pick(UNITS)}'`)
  if (random.chance(4)) items.push(sql`tenant_id = '${random.pick(TENANTS).id}'`)
  return list(items, { minimum: 1 })
}

function assigned(draw: Draw, relation: Relation, column: string, sources: readonly Source[], depth: number): Tree {
  if (draw.random.chance(50)) return value(draw, relation, column)
  const type = relation.columns.find(({ name }) => name === column)?.type ?? 'int'
  return choice(expression(draw, type, sources, depth), smallest(type))
}

/** Returns a value for a column: mostly one that fits, sometimes one that only another tenant's rows would take. */
function value(draw: Draw, relation: Relation, column: string): Tree {
  const { random } = draw
  const mark = random.pick([TENANTS[0], TENANTS[0], ...OTHERS]).mark
  switch (column) {
    case 'tenant_id':
      return `'${random.chance(50) ? TENANTS[0].id : random.pick(OTHERS).id}'`
    case 'unit_id':
      return `'${random.pick(UNITS)}'`
    case 'id':
    case 'position':
      return String(random.chance(60) ? random.int(25, 90) : random.int(1, 24))
    case 'serial':
      return String(random.pick([random.int(1, 16), random.int(101, 116), random.int(201, 216), random.int(300, 400)]))
    case 'customer_id':
    case 'parent_id':
      return String(random.chance(90) ? random.int(1, 12) : 99)
    case 'shipment_id':
      return String(random.chance(90) ? random.int(1, 24) : 99)
    case 'note_id':
      return String(random.chance(90) ? random.int(1, 7) : 99)
    case 'bytes':
      return String(random.int(1, 5) * 10 + random.int(0, 3))
    case 'port_code':
      return `'P${random.pick([1, 2, 3, 4, 5, 6, 9])}'`
    case 'name':
      return `'${mark}-name-${random.int(1, 40)}'`
    default: {
      const type = relation.columns.find(({ name }) => name === column)?.type ?? 'int'
      return random.chance(6) ? 'null' : literal(draw, type)
    }
  }
}
