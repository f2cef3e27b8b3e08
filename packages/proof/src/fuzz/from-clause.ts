import { type Draw, type NamedQuery, randomTypes, type Source } from './draw.ts'
import { condition, expression } from './expression.ts'
import { type Column, READABLE, type Relation, type SqlType, STORED } from './fixture.ts'
import { list, sql, type Tree } from './tree.ts'

interface FromClause {
  /** Starts with the first item, without the word FROM. */
  readonly tree: Tree
  readonly sources: readonly Source[]
}

interface Item {
  readonly tree: Tree
  readonly source: Source
  /** May refer to what stands left of it, and so cannot be the right side of a full join. */
  readonly lateral: boolean
}

/** Makes `joins` joins; at most one of them multiplies, because three tables of 30 rows would have 27,000 together. */
export function fromClause(
  draw: Draw,
  outer: readonly Source[],
  named: readonly NamedQuery[],
  depth: number,
  joins: number,
): FromClause {
  const first = item(draw, outer, [], named, depth)
  const sources = [first.source]
  const joined: Tree[] = []
  let mayMultiply = true
  for (let index = 0; index < joins; index += 1) {
    const next = item(draw, outer, sources, named, depth)
    const join = joinOf(draw, sources, outer, next, mayMultiply, depth)
    mayMultiply &&= !join.multiplies
    joined.push(join.tree)
    sources.push(next.source)
  }
  return { tree: sql`${first.tree}${list(joined, { separator: '' })}`, sources }
}

export function sourceOf(relation: Relation, alias: string): Source {
  const stored = (STORED as readonly string[]).includes(relation.name)
  return { alias, columns: relation.columns, key: relation.key, stored }
}

/** Columns a query made for these types has. */
export function columnsOf(types: readonly SqlType[]): Column[] {
  return types.map((type, index) => ({ name: `c${index + 1}`, type }))
}

function item(
  draw: Draw,
  outer: readonly Source[],
  left: readonly Source[],
  named: readonly NamedQuery[],
  depth: number,
): Item {
  const { random } = draw
  const alias = draw.newName('t')
  const form = random.weighted({
    relation: 62,
    named: named.length > 0 ? 50 : 0,
    query: depth > 1 ? 14 : 0,
    lateral: depth > 1 && left.length > 0 ? 10 : 0,
    sample: 3,
    series: 3,
    values: 3,
    function: 4,
    elements: left.length > 0 ? 4 : 0,
  })
  const derived = (tree: Tree, columns: readonly Column[], lateral = false): Item => ({
    tree,
    lateral,
    source: { alias, columns, key: columns.map(({ name }) => name) },
  })
  switch (form) {
    case 'named': {
      const { name, columns } = random.pick(named)
      return derived(`${name} ${alias}`, columns)
    }
    case 'query':
    case 'lateral': {
      const types: SqlType[] = ['int', ...randomTypes(random, 1, 2)]
      const inner = draw.select(types, form === 'lateral' ? [...outer, ...left] : outer, depth - 1)
      return derived(
        sql`${form === 'lateral' ? 'lateral ' : ''}(${inner}) ${alias}`,
        columnsOf(types),
        form === 'lateral',
      )
    }
    case 'series':
      return derived(`generate_series(1, ${random.int(2, 9)}) ${alias}(c1)`, columnsOf(['int']))
    case 'values':
      return derived(`(values (1, 'x'), (3, 'tag1'), (101, null)) ${alias}(c1, c2)`, columnsOf(['int', 'text']))
    case 'function': {
      const shipment = READABLE.find(({ name }) => name === 'shipment') as Relation
      const argument = left.length > 0 ? expression(draw, 'int', left, 0) : String(random.int(1, 12))
      const source = { ...sourceOf(shipment, alias), stored: false }
      return { tree: sql`shipments_of(${argument}::int) ${alias}`, lateral: true, source }
    }
    case 'elements':
      return derived(
        sql`unnest(${expression(draw, 'tags', left, 0)}) with ordinality ${alias}(c1, c2)`,
        columnsOf(['text', 'int']),
        true,
      )
    case 'sample': {
      const relation = random.pick(READABLE.filter(({ name }) => (STORED as readonly string[]).includes(name)))
      const tree = `${relation.name} ${alias} tablesample ${random.pick(['bernoulli', 'system'])} (100)`
      return { tree, lateral: false, source: sourceOf(relation, alias) }
    }
    default: {
      const relation = random.pick(READABLE)
      return { tree: `${relation.name} ${alias}`, lateral: false, source: sourceOf(relation, alias) }
    }
  }
}

function joinOf(
  draw: Draw,
  left: readonly Source[],
  outer: readonly Source[],
  next: Item,
  mayMultiply: boolean,
  depth: number,
): { readonly tree: Tree; readonly multiplies: boolean } {
  const { random } = draw
  if (next.lateral) {
    const word = random.pick(['join', 'left join'])
    return { tree: sql` ${word} ${next.tree} on true`, multiplies: true }
  }
  const equality = equalityOf(draw, left, next.source)
  if (mayMultiply && (equality === undefined || random.chance(12))) {
    if (random.chance(50)) return { tree: sql` cross join ${next.tree}`, multiplies: true }
    const on = condition(draw, [...left, next.source], 1)
    return { tree: sql` ${random.pick(['join', 'left join'])} ${next.tree} on ${on}`, multiplies: true }
  }
  if (equality === undefined) return { tree: sql` join ${next.tree} on false`, multiplies: false }
  // A full join takes nothing but equalities.
  if (random.chance(12)) return { tree: sql` full join ${next.tree} on ${equality}`, multiplies: false }
  const more = random.chance(30) ? [condition(draw, [...outer, ...left, next.source], depth - 1)] : []
  const on = list([equality, ...more], { separator: ' and ', minimum: 1 })
  return {
    tree: sql` ${random.pick(['join', 'join', 'left join', 'right join'])} ${next.tree} on ${on}`,
    multiplies: false,
  }
}

function equalityOf({ random }: Draw, left: readonly Source[], right: Source): string | undefined {
  const type = random.chance(85) ? 'int' : random.pick<SqlType>(['text', 'uuid', 'tier'])
  const named = (source: Source) =>
    source.columns.filter((column) => column.type === type).map(({ name }) => `${source.alias}.${name}`)
  const here = left.flatMap(named)
  const there = named(right)
  return here.length === 0 || there.length === 0 ? undefined : `${random.pick(here)} = ${random.pick(there)}`
}
