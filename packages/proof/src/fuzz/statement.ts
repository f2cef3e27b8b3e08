import { DEPTH, type Draw, randomTypes } from './draw.ts'
import { condition } from './expression.ts'
import { ACTING, OTHERS, READABLE, STORED, TABLES } from './fixture.ts'
import { sourceOf } from './from-clause.ts'
import { query, where, wholeQuery } from './query.ts'
import { type Random, randomFor } from './random.ts'
import { list, render, sql, type Tree } from './tree.ts'
import { type WriteKind, write } from './write.ts'

/**
 * How a case is run:
 *
 * - `single`: one statement by itself, on a connection that all tenants share.
 * - `block`: statements in one transaction, which is rolled back.
 * - `rotation`: one statement as tenant after tenant on the shared connection, so that plans meet several of them.
 * - `generic`: the same in transactions on one connection, with generic plans forced.
 * - `copy`: COPY (query) TO STDOUT.
 */
type Form = 'single' | 'block' | 'rotation' | 'generic' | 'copy'

export interface Case {
  readonly number: number
  readonly kind: string
  readonly form: Form
  /** Runs in a context limited to some units. */
  readonly units: boolean
  readonly steps: readonly Tree[]
  readonly values: readonly unknown[]
  /** Relation the case writes to; what it does is then done once more, for good. */
  readonly target?: string
}

const KINDS = {
  select: 61,
  probe: 4,
  insert: 7,
  update: 8,
  delete: 5,
  merge: 4,
  modifying: 3,
  lock: 2,
  cursor: 2,
  savepoint: 2,
  copy: 1.5,
  rotation: 1.2,
  generic: 0.8,
  prepared: 0.15,
} as const

/** Makes statement `number` of a seed: always the same one, whatever was made before. */
export function makeCase(seed: number, number: number, major: number): Case {
  const random = randomFor(seed, number)
  const draw = newDraw(random, major)
  const kind = random.weighted(KINDS)
  const units = random.chance(22)
  const base = { number, kind, units, values: [] }
  switch (kind) {
    case 'select':
      return { ...base, form: 'single', steps: [wholeQuery(draw, random.pick([1, 1, 2, 2, DEPTH]))] }
    case 'probe':
      if (random.chance(50)) return { ...base, form: 'single', steps: [probe(draw)] }
      // Where an index finds a tenant's rows, no condition is asked about others: without one, the order of them counts.
      return { ...base, form: 'block', steps: [...(random.chance(70) ? WITHOUT_INDEXES : []), probe(draw)] }
    case 'copy':
      return { ...base, form: 'copy', steps: [wholeQuery(draw, 2)] }
    case 'lock':
      return { ...base, form: 'block', steps: [...planner(random), lock(draw)] }
    case 'cursor':
      return { ...base, form: 'block', steps: cursor(draw) }
    case 'prepared':
      return { ...base, form: 'block', steps: prepared(draw) }
    case 'rotation':
    case 'generic':
      return { ...base, form: kind, steps: [parameterised(draw)], values: [random.pick([1, 3, 5, 21])] }
    case 'savepoint':
      return { ...base, form: 'block', steps: savepoint(draw, units) }
    default: {
      const { tree, target } = write(draw, kind, units)
      const after = random.chance(30) ? [digestOf(target)] : []
      return { ...base, form: 'block', target, steps: [...planner(random), tree, ...after] }
    }
  }
}

const WITHOUT_INDEXES = ['indexscan', 'indexonlyscan', 'bitmapscan'].map((way) => `set local enable_${way} = off`)

const rendered = new WeakMap<readonly Tree[], readonly string[]>()

/** Returns the statements of a case as text, as they are sent. */
export function textsOf({ steps }: Pick<Case, 'steps'>): readonly string[] {
  const known = rendered.get(steps)
  if (known !== undefined) return known
  const texts = steps.map(render)
  rendered.set(steps, texts)
  return texts
}

function newDraw(random: Random, major: number): Draw {
  let names = 0
  const draw: Draw = {
    random,
    major,
    newName: (prefix) => {
      names += 1
      return `${prefix}${names}`
    },
    select: (types, outer, depth) => query(draw, types, outer, Math.min(depth, DEPTH - 1)),
  }
  return draw
}

/** Other plans for the same statement: what a policy lets through must not depend on how rows are found. */
function planner(random: Random): Tree[] {
  if (random.chance(75)) return []
  const setting = random.pick([
    'seqscan',
    'nestloop',
    'hashjoin',
    'mergejoin',
    'hashagg',
    'sort',
    'material',
    'memoize',
  ])
  return [`set local enable_${setting} = off`]
}

/**
 * Statements that fail, or talk, when they get to see a row of another tenant. One table and one condition, so that
 * there is no plan that could evaluate it for fewer rows.
 */
function probe({ random }: Draw): Tree {
  const relation = random.pick(READABLE.filter(({ name }) => name !== 'port' && name !== 'shipment_overview'))
  const texts = relation.columns.filter(({ type }) => type === 'text').map(({ name }) => `t.${name}`)
  const text = random.pick([...texts, 't::text'])
  const wanted = `%${random.pick([...OTHERS, ACTING]).mark}%`
  const form = random.weighted({ trap: 4, echo: 3, division: 3, cast: 2, tenant: 3, selected: 2 })
  const from = `select t.id from ${relation.name === 'line' ? '(select *, position as id from line)' : relation.name} t`
  switch (form) {
    case 'trap':
      return sql`${from} where trap(${text}, '${wanted}')`
    case 'echo':
      return sql`${from} where echo(${text})`
    case 'division':
      return sql`${from} where 1 / (case when ${text} like '${wanted}' then 0 else 1 end) = 1`
    case 'cast':
      return sql`${from} where cast(case when ${text} like '${wanted}' then ${text} else '1' end as int) = 1`
    case 'tenant':
      return sql`${from} where 1 / (case when t.tenant_id = '${random.pick(OTHERS).id}' then 0 else 1 end) = 1`
    case 'selected':
      return sql`select cast(case when ${text} like '${wanted}' then ${text} else '1' end as int) from ${relation.name} t`
  }
}

function lock(draw: Draw): Tree {
  const { random } = draw
  const relation = random.pick(TABLES)
  const target = sourceOf(relation, draw.newName('t'))
  const strength = random.pick(['update', 'no key update', 'share', 'key share'])
  return sql`select ${target.alias}.* from ${relation.name} ${target.alias}${where(draw, [target], 2)} for ${strength}${random.pick(['', ` of ${target.alias}`, ' skip locked', ' nowait'])}`
}

function cursor(draw: Draw): Tree[] {
  const { random } = draw
  const types = randomTypes(random, 1, 3)
  const order = types.map((_, index) => `q.c${index + 1}`).join(', ')
  const scroll = random.chance(50)
  const body = sql`declare fuzz ${scroll ? 'scroll' : 'no scroll'} cursor for select q.* from (${query(draw, types, [], 2)}) q order by ${order}`
  const moves = Array.from({ length: random.int(1, 4) }, () =>
    random.pick([
      `fetch ${random.int(1, 9)} from fuzz`,
      `move ${random.int(1, 5)} in fuzz`,
      'fetch next from fuzz',
      scroll ? `fetch backward ${random.int(1, 4)} from fuzz` : 'fetch all from fuzz',
      scroll ? `fetch absolute ${random.int(1, 9)} from fuzz` : 'fetch 1 from fuzz',
    ]),
  )
  return [body, ...moves, 'fetch all from fuzz']
}

function parameterised(draw: Draw): Tree {
  const relation = draw.random.pick(READABLE.filter(({ name }) => name !== 'port'))
  const target = sourceOf(relation, 't')
  const numbers = relation.columns.filter(({ type }) => type === 'int').map(({ name }) => name)
  const more = draw.random.chance(50) ? [condition(draw, [target], 1)] : []
  const conditions = [`t.${draw.random.pick(numbers)} >= $1`, ...more]
  return sql`select t.* from ${relation.name} t where ${list(conditions, { separator: ' and ', minimum: 1 })}`
}

function prepared(draw: Draw): Tree[] {
  const executions = Array.from({ length: 6 }, (_, index) => `execute fuzz_plan(${index})`)
  const mode = draw.random.pick(['force_generic_plan', 'force_custom_plan', 'auto'])
  return [`set local plan_cache_mode = ${mode}`, sql`prepare fuzz_plan(int) as ${parameterised(draw)}`, ...executions]
}

function savepoint(draw: Draw, units: boolean): Tree[] {
  const { random } = draw
  const kinds: readonly WriteKind[] = ['insert', 'update', 'delete', 'merge']
  const writes = () => write(draw, random.pick(kinds), units)
  const first = writes()
  const failing = random.pick<Tree>([
    probe(draw),
    `select 1 / 0`,
    writes().tree,
    `insert into ledger (id, serial) values (1, 1)`,
  ])
  const last = writes()
  return [
    'savepoint s',
    first.tree,
    'savepoint r',
    failing,
    'rollback to savepoint r',
    last.tree,
    digestOf(last.target),
  ]
}

function digestOf(target: string): string {
  const table = target === 'open_ledger' ? 'ledger' : target === 'event_low' ? 'event' : target
  if (!(STORED as readonly string[]).includes(table)) throw new RangeError(`Cannot digest "${target}": it is no table`)
  return `select md5(string_agg(q.x, ',' order by q.x)) as c1 from (select t::text as x from ${table} t) q`
}
