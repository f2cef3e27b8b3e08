import { type Draw, type NamedQuery, randomTypes, type Source } from './draw.ts'
import { condition, expression, literal, smallest } from './expression.ts'
import type { SqlType } from './fixture.ts'
import { columnsOf, fromClause } from './from-clause.ts'
import { choice, list, optional, sql, type Tree } from './tree.ts'

/*
 * Queries whose rows depend on the data alone: aggregates of lists are ordered, windows have a total order, and LIMIT
 * stands above an order by every column. What the plan may decide would differ between the databases without a leak.
 */

/** Makes a query with the columns `c1` … of these types. */
export function query(
  draw: Draw,
  types: readonly SqlType[],
  outer: readonly Source[],
  depth: number,
  named: readonly NamedQuery[] = [],
): Tree {
  const deep = depth > 0
  const form = draw.random.weighted({
    plain: 50,
    aggregate: deep ? 14 : 0,
    window: deep ? 9 : 0,
    set: deep ? 10 : 0,
    distinctOn: deep ? 4 : 0,
    limit: deep ? 9 : 0,
    values: 2,
  })
  switch (form) {
    case 'aggregate':
      return aggregate(draw, types, outer, named, depth)
    case 'set': {
      const [left, right] = [0, 1].map(() => query(draw, types, outer, depth - 1, named)) as [Tree, Tree]
      const word = draw.random.pick(['union', 'union all', 'intersect', 'except', 'intersect all', 'except all'])
      return choice(sql`(${left}) ${word} (${right})`, left, right)
    }
    case 'distinctOn':
    case 'limit':
      return ordered(draw, types, query(draw, types, outer, depth - 1, named), form)
    case 'values': {
      const row = () => sql`(${list(types.map((type) => literal(draw, type)))})`
      return sql`select * from (values ${list([row(), row(), row()], { minimum: 1 })}) v (${columnNames(types).join(', ')})`
    }
    default:
      return plain(draw, types, outer, named, depth, form === 'window')
  }
}

function columnNames(types: readonly SqlType[]): string[] {
  return columnsOf(types).map(({ name }) => name)
}

function ordered(
  { random, newName }: Draw,
  types: readonly SqlType[],
  inner: Tree,
  form: 'distinctOn' | 'limit',
): Tree {
  const alias = newName('q')
  const columns = columnNames(types).map((name) => `${alias}.${name}`)
  if (form === 'distinctOn') {
    const first = columns.slice(0, random.int(1, columns.length)).join(', ')
    return choice(
      sql`select distinct on (${first}) ${alias}.* from (${inner}) ${alias} order by ${columns.join(', ')}`,
      inner,
    )
  }
  const order = columns.map((column) => `${column}${random.pick(['', ' desc', ' nulls first'])}`).join(', ')
  const bounds = random.chance(30)
    ? `offset ${random.int(1, 5)} fetch first ${random.int(1, 6)} rows with ties`
    : `limit ${random.int(1, 9)}`
  return choice(sql`select ${alias}.* from (${inner}) ${alias} order by ${order} ${bounds}`, inner)
}

function plain(
  draw: Draw,
  types: readonly SqlType[],
  outer: readonly Source[],
  named: readonly NamedQuery[],
  depth: number,
  windows: boolean,
): Tree {
  const { random } = draw
  const from = fromClause(draw, outer, named, depth, depth > 0 ? random.pick([0, 0, 0, 1, 1, 2]) : 0)
  const scope = [...outer, ...from.sources]
  const items = types.map((type, index) => {
    const value =
      windows && (index === 0 || random.chance(40))
        ? choice(windowOf(draw, type, from.sources, depth), smallest(type))
        : expression(draw, type, random.chance(85) ? from.sources : scope, depth)
    return sql`${value} as c${index + 1}`
  })
  const distinct = !windows && random.chance(12) ? choice('distinct ', '') : ''
  return sql`select ${distinct}${list(items, { minimum: 1 })} from ${from.tree}${where(draw, scope, depth)}`
}

export function where(draw: Draw, scope: readonly Source[], depth: number): Tree {
  const count = draw.random.pick([0, 0, 0, 1, 1, 2])
  const conditions = Array.from({ length: count }, () => condition(draw, scope, depth - 1))
  return list(conditions, { separator: ' and ', before: ' where ' })
}

/** Names enough columns of every source that two rows alike in them are alike in all. */
function totalOrder(sources: readonly Source[]): string {
  return sources.flatMap(({ alias, key }) => key.map((column) => `${alias}.${column}`)).join(', ')
}

function windowOf(draw: Draw, type: SqlType, sources: readonly Source[], depth: number): Tree {
  const { random } = draw
  const of = (wanted: SqlType) => expression(draw, wanted, sources, depth - 1)
  const order = totalOrder(sources)
  const partition = optional(
    random.chance(50) ? sql`partition by ${of(random.pick(['int', 'text', 'tier']))} ` : undefined,
  )
  const frame = random.pick([
    '',
    '',
    ' rows between 2 preceding and current row',
    ' rows between unbounded preceding and 1 following',
  ])
  const over = sql`over (${partition}order by ${order}${frame})`
  const peers = sql`over (${partition}order by ${of('int')})`
  if (type === 'int') {
    return random.pick([
      () => sql`(row_number() ${over})::int`,
      () => sql`(rank() ${peers})::int`,
      () => sql`(dense_rank() ${peers})::int`,
      () => sql`(count(*) over (${partition}))::int`,
      () => sql`(sum(${of('int')} % 100) ${over})::int`,
      () => sql`ntile(3) ${over}`,
    ])()
  }
  const fn = random.pick(['lag', 'lead', 'first_value', 'last_value'])
  return sql`${fn}(${of(type)}) ${over}`
}

function aggregate(
  draw: Draw,
  types: readonly SqlType[],
  outer: readonly Source[],
  named: readonly NamedQuery[],
  depth: number,
): Tree {
  const { random } = draw
  const from = fromClause(draw, outer, named, depth, random.pick([0, 0, 1]))
  const scope = [...outer, ...from.sources]
  const columns = from.sources.flatMap(({ alias, columns }) =>
    columns.map(({ name, type }) => ({ name: `${alias}.${name}`, type })),
  )
  const groups = Array.from({ length: random.int(0, 2) }, () => random.pick(columns))
  const items = types.map((type, index) => {
    const group = groups.find((column) => column.type === type)
    const value =
      group !== undefined && random.chance(60)
        ? group.name
        : choice(aggregateOf(draw, type, from.sources, depth - 1), smallest(type))
    return sql`${value} as c${index + 1}`
  })
  const having = random.chance(25)
    ? sql` having count(*) ${random.pick(['>', '<', '='])} ${random.int(0, 6)}`
    : undefined
  return sql`select ${list(items, { minimum: 1 })} from ${from.tree}${where(draw, scope, depth)}${grouping(
    draw,
    groups.map(({ name }) => name),
  )}${optional(having)}`
}

function grouping({ random }: Draw, names: readonly string[]): Tree {
  const [first, second] = names
  if (first === undefined) return ''
  const simple = list(names, { before: ' group by ' })
  const joined = names.join(', ')
  const sets = [`rollup (${joined})`, `cube (${joined})`, `grouping sets ((${joined}), ())`]
  if (second !== undefined) sets.push(`grouping sets ((${first}), (${second}), ())`)
  return random.chance(60) ? simple : choice(` group by ${random.pick(sets)}`, simple)
}

function aggregateOf(draw: Draw, type: SqlType, sources: readonly Source[], depth: number): Tree {
  const { random } = draw
  const of = (wanted: SqlType) => expression(draw, wanted, sources, depth)
  const filter = optional(random.chance(20) ? sql` filter (where ${condition(draw, sources, depth)})` : undefined)
  const text = of('text')
  switch (type) {
    case 'int':
      return random.pick([
        () => sql`(count(*)${filter})::int`,
        () => sql`(count(${of(random.pick(['text', 'int', 'uuid']))})${filter})::int`,
        () => sql`(count(distinct ${of(random.pick(['text', 'int', 'tier']))})${filter})::int`,
        () => sql`(sum(${of('int')} % 100)${filter})::int`,
        () => sql`${random.pick(['min', 'max'])}(${of('int')})${filter}`,
      ])()
    case 'text':
      return random.chance(50)
        ? sql`string_agg(${text}, ',' order by ${text})${filter}`
        : sql`${random.pick(['min', 'max'])}(${text})${filter}`
    case 'num':
      return random.chance(50) ? sql`sum(${of('num')})${filter}` : sql`round(avg(${of('int')} % 1000)${filter}, 3)`
    case 'bool':
      return sql`${random.pick(['bool_or', 'every'])}(${condition(draw, sources, depth)})${filter}`
    case 'uuid': {
      const value = of('uuid')
      return sql`(array_agg(${value} order by ${value})${filter})[1]`
    }
    case 'json':
      return sql`jsonb_agg(${text} order by ${text})${filter}`
    case 'tags':
      return sql`array_agg(${text} order by ${text})${filter}`
    default:
      return sql`${random.pick(['min', 'max'])}(${of(type)})${filter}`
  }
}

/** Makes a whole SELECT: a query, with or without common table expressions in front of it. */
export function wholeQuery(draw: Draw, depth: number): Tree {
  const { random } = draw
  const types = randomTypes(random, 1, 4)
  const form = random.weighted({ bare: 76, named: 18, recursive: 6 })
  if (form === 'bare') return query(draw, types, [], depth)
  if (form === 'recursive') return recursive(draw, types, depth)
  const named: NamedQuery[] = []
  const heads = Array.from({ length: random.int(1, 2) }, () => {
    const own: SqlType[] = ['int', ...randomTypes(random, 1, 3)]
    const name = draw.newName('w')
    const tree = sql`${name} as ${choice(random.pick(['', 'materialized ', 'not materialized ']), '')}(${query(draw, own, [], depth - 1, named)})`
    named.push({ name, columns: columnsOf(own) })
    return tree
  })
  return sql`${list(heads, { before: 'with ', after: ' ' })}${query(draw, types, [], depth, named)}`
}

function recursive(draw: Draw, types: readonly SqlType[], depth: number): Tree {
  const name = draw.newName('w')
  const walk = draw.random.pick([
    `select id, 0, name from customer where parent_id is null union all
       select c.id, w.c2 + 1, c.name from customer c join ${name} w on c.parent_id = w.c1 where w.c2 < 6`,
    `select shipment_id, position, label from line where position <= 3 union
       select l.shipment_id, l.position, l.label from line l join ${name} w on l.position = w.c2 + 1 where l.position < 20`,
  ])
  const named: NamedQuery = { name, columns: columnsOf(['int', 'int', 'text']) }
  return sql`with recursive ${name} (c1, c2, c3) as (${walk}) ${query(draw, types, [], depth, [named])}`
}
