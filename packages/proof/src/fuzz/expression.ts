import type { Draw, Source } from './draw.ts'
import { OTHERS, type SqlType, TENANTS, UNITS } from './fixture.ts'
import { choice, list, sql, type Tree } from './tree.ts'

/*
 * Expressions that cannot fail, of a given type. Whether a failing one is evaluated depends on the plan, and the plan on
 * how many rows others have: such statements would differ without anybody having seen anything. What fails is made in
 * `probe.ts`, where the plan has no say.
 */

const SMALLEST: Readonly<Record<SqlType, string>> = {
  int: '1',
  text: `'x'::text`,
  num: '1.5',
  bool: 'true',
  uuid: `'${TENANTS[0].id}'::uuid`,
  json: `'{}'::jsonb`,
  tags: `'{}'::text[]`,
  tier: `'free'::tier`,
  status: `'booked'::status`,
}

export function smallest(type: SqlType): string {
  return SMALLEST[type]
}

/** Returns an expression of `type` over the columns of `sources`. */
export function expression(draw: Draw, type: SqlType, sources: readonly Source[], depth: number): Tree {
  const leaf = columnOrLiteral(draw, type, sources)
  if (depth <= 0 || draw.random.chance(45)) return leaf
  return choice(compound(draw, type, sources, depth - 1), leaf, smallest(type))
}

function columnOrLiteral(draw: Draw, type: SqlType, sources: readonly Source[]): Tree {
  const columns = sources.flatMap(({ alias, columns }) =>
    columns.filter((column) => column.type === type).map(({ name }) => `${alias}.${name}`),
  )
  if (columns.length > 0 && draw.random.chance(85)) return choice(draw.random.pick(columns), smallest(type))
  return literal(draw, type)
}

export function literal({ random }: Draw, type: SqlType): string {
  switch (type) {
    case 'int':
      // From 101 on: serials of the other tenants.
      return String(random.pick([0, 1, 2, 3, 5, 8, 12, 13, 21, 34, 101, 105, 203]))
    case 'text':
      return `'${random.pick(['', 'x', 'P1', 'P3', 'tag1', 'free', `${TENANTS[0].mark}-name-2`])}'::text`
    case 'num':
      return random.pick(['0.5', '10', '25.25', '60'])
    case 'bool':
      return random.pick(['true', 'false'])
    case 'uuid':
      return `'${random.pick([...TENANTS.map(({ id }) => id), ...UNITS])}'::uuid`
    case 'json':
      return random.pick([`'{"n": 3}'::jsonb`, `'[]'::jsonb`, `'{"at": 5, "path": [1]}'::jsonb`])
    case 'tags':
      return random.pick([`array['tag1']`, `array['tag0', 'x']`, `'{}'::text[]`])
    case 'tier':
      return `'${random.pick(['free', 'plus', 'max'])}'::tier`
    case 'status':
      return `'${random.pick(['booked', 'sailing', 'landed'])}'::status`
  }
}

function compound(draw: Draw, type: SqlType, sources: readonly Source[], depth: number): Tree {
  const { random } = draw
  const of = (wanted: SqlType) => expression(draw, wanted, sources, depth)
  const general: (() => Tree)[] = [
    () => sql`coalesce(${of(type)}, ${of(type)})`,
    () => sql`case when ${condition(draw, sources, depth)} then ${of(type)} else ${of(type)} end`,
    () => sql`nullif(${of(type)}, ${of(type)})`,
    () => scalarSubquery(draw, type, sources, depth),
  ]
  const special: Readonly<Record<SqlType, readonly (() => Tree)[]>> = {
    int: [
      () => sql`(${of('int')} % 97 + ${of('int')} % 31)`,
      () => sql`(${of('int')} % 50 * (${of('int')} % 7))`,
      () => sql`(${of('int')} % 1000 - 3)`,
      () => sql`length(${of('text')})`,
      () => sql`cardinality(${of('tags')})`,
      () => sql`greatest(${of('int')}, ${of('int')})`,
      () => sql`jsonb_array_length(jsonb_path_query_array(${of('json')}, '$.path[*]'))`,
      () => sql`(select count(*)::int from (${draw.select(['int'], sources, depth)}) q)`,
    ],
    text: [
      () => sql`upper(${of('text')})`,
      () => sql`substr(${of('text')}, 1, 8)`,
      () => sql`(${of('text')} || ${of('text')})`,
      () => sql`(${of('json')} ->> 'secret')`,
      () => sql`md5(${of('text')})`,
      () => sql`(${of('tags')})[1]`,
      () => sql`cast(${of(random.pick(['int', 'num', 'bool', 'tier', 'status', 'uuid', 'json', 'tags']))} as text)`,
      () => sql`array_to_string(${of('tags')}, '+')`,
      () => sql`label_of(${of('int')}::int)`,
    ],
    num: [
      () => sql`(${of('num')} + ${of('int')} % 100)`,
      () => sql`round(${of('num')}, 1)`,
      () => sql`abs(${of('num')})`,
    ],
    bool: [() => condition(draw, sources, depth), () => condition(draw, sources, depth)],
    uuid: [],
    json: [
      () => sql`jsonb_build_object('a', ${of('int')}, 'b', ${of('text')})`,
      () => sql`to_jsonb(${of(random.pick(['int', 'text', 'bool', 'tags']))})`,
      () => sql`jsonb_path_query_first(${of('json')}, '$.*')`,
      () => sql`(${of('json')} -> 'who')`,
    ],
    tags: [() => sql`(${of('tags')} || ${of('text')})`, () => sql`string_to_array(${of('text')}, '-')`],
    tier: [],
    status: [],
  }
  return random.pick([...general, ...special[type], ...special[type]])()
}

/** An aggregate over a subquery: one row whatever the subquery has. */
function scalarSubquery(draw: Draw, type: SqlType, sources: readonly Source[], depth: number): Tree {
  const inner = draw.select([type], sources, depth - 1)
  switch (type) {
    case 'bool':
      return sql`(select bool_or(q.c1) from (${inner}) q)`
    case 'json':
    case 'uuid':
      return sql`(select q.c1 from (${inner}) q order by q.c1 limit 1)`
    default:
      return sql`(select ${draw.random.pick(['min', 'max'])}(q.c1) from (${inner}) q)`
  }
}

/** Returns a condition that cannot fail. */
export function condition(draw: Draw, sources: readonly Source[], depth: number): Tree {
  const { random } = draw
  const of = (type: SqlType) => expression(draw, type, sources, depth - 1)
  const comparable = random.pick<SqlType>(['int', 'int', 'text', 'num', 'tier', 'status', 'uuid'])
  // Mostly with a constant: two columns of a row are alike too often, or never, and then nothing is left to compare.
  const simple = () => {
    const right = random.chance(65) ? literal(draw, comparable) : of(comparable)
    return sql`${of(comparable)} ${random.pick(['=', '<>', '<>', '<', '<=', '<=', '>', '>=', '>='])} ${right}`
  }
  if (depth <= 0) return simple()
  const form = random.weighted({
    simple: 34,
    both: 14,
    not: 4,
    null: 5,
    in: 7,
    between: 5,
    like: 7,
    exists: 8,
    inQuery: 7,
    anyQuery: 4,
    row: 4,
    array: 5,
    tenant: 9,
    json: 4,
    ctid: 2,
  })
  return choice(conditionOf(form), 'true', 'false')

  function conditionOf(kind: string): Tree {
    switch (kind) {
      case 'both':
        return sql`(${list([condition(draw, sources, depth - 1), condition(draw, sources, depth - 1)], { separator: random.pick([' and ', ' or ']), minimum: 1 })})`
      case 'not':
        return sql`not (${condition(draw, sources, depth - 1)})`
      case 'null':
        return sql`${of(random.pick(['text', 'int', 'num']))} is ${random.pick(['null', 'not null'])}`
      case 'in':
        return sql`${of('int')} ${random.pick(['in', 'not in'])} (${list([of('int'), of('int'), of('int')], { minimum: 1 })})`
      case 'between':
        return sql`${of('int')} between ${of('int')} and ${of('int')}`
      case 'like':
        return sql`${of('text')} like '%${random.pick([...TENANTS.map(({ mark }) => mark), '3', 'name', '-'])}%'`
      case 'exists':
        return sql`${random.pick(['exists', 'not exists'])} (${draw.select([random.pick(['int', 'text'])], sources, depth - 1)})`
      case 'inQuery':
        return sql`${of(comparable)} ${random.pick(['in', 'in', 'not in'])} (${draw.select([comparable], sources, depth - 1)})`
      case 'anyQuery':
        return sql`${of('int')} ${random.pick(['= any', '< all', '> any'])} (${draw.select(['int'], sources, depth - 1)})`
      case 'row':
        return sql`(${of('int')}, ${of('text')}) ${random.pick(['<', '=', '>=', 'is distinct from'])} (${of('int')}, ${of('text')})`
      case 'array':
        return random.chance(50)
          ? sql`${of('text')} = any (${of('tags')})`
          : sql`${of('tags')} ${random.pick(['&&', '@>', '<@'])} ${of('tags')}`
      case 'tenant':
        return tenantCondition(draw, sources) ?? simple()
      case 'json':
        return random.chance(50)
          ? sql`${of('json')} ? ${random.pick([`'n'`, `'who'`, `'secret'`])}`
          : sql`${of('json')} @> ${of('json')}`
      case 'ctid':
        return ctidCondition(draw, sources) ?? simple()
      default:
        return simple()
    }
  }
}

/** Names tenants outright: what an injected statement would try first. */
function tenantCondition({ random }: Draw, sources: readonly Source[]): Tree | undefined {
  const owned = sources.filter(({ columns }) => columns.some(({ name }) => name === 'tenant_id'))
  if (owned.length === 0) return undefined
  const { alias } = random.pick(owned)
  const other = `'${random.pick(OTHERS).id}'`
  return random.pick([
    `${alias}.tenant_id = ${other}`,
    `${alias}.tenant_id <> '${TENANTS[0].id}'`,
    `${alias}.tenant_id in (${TENANTS.map(({ id }) => `'${id}'`).join(', ')})`,
    `(${alias}.tenant_id = ${other} or true)`,
    `${alias}.tenant_id::text like '0b%'`,
    `${alias}.tenant_id > '${TENANTS[0].id}'`,
    `${alias}.tenant_id is distinct from rowhouse.current_tenant_id()`,
  ])
}

/** Where a row lies differs between the databases; that it lies somewhere does not. */
function ctidCondition({ random }: Draw, sources: readonly Source[]): Tree | undefined {
  const stored = sources.filter((source) => source.stored === true)
  if (stored.length === 0) return undefined
  return `${random.pick(stored).alias}.ctid ${random.pick(['is not null', `>= '(0,0)'`, 'is null'])}`
}
