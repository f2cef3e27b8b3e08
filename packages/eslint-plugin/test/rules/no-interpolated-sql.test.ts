// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are source code

import { noInterpolatedSql } from '../../src/rules/no-interpolated-sql.ts'
import { javascript, typescript } from '../support/rule-tester.ts'

const spliced = (method: string) => ({
  message: `Cannot see that this SQL is free of injection: a value is spliced into its text; write $1 in the text and pass the value: ${method}(text, [value]), or choose between constants of this file`,
})
const raw = (call: string, instead: string) => ({
  message: `Cannot see that ${call} is free of injection: its text is not a constant of this file and goes into the statement as it is; use ${instead}, which makes a parameter of each value`,
})

javascript.run('no-interpolated-sql', noInterpolatedSql, {
  valid: [
    `db.many('select * from shipment where id = $1', [id])`,
    'db.many(`select * from shipment where id = $1`, [id])',
    'sql`select * from shipment where id = ${id}`',
    'db.execute(sql`select ${id}`)',
    'prisma.$queryRaw`select ${id}`',
    `const PAGE = 25; db.many(\`select * from shipment limit \${PAGE}\`)`,
    `const A = 'a'; const B = \`select \${A}\`; db.many(B + ' from shipment')`,
    `const columns = ['id', 'number']; db.many('select ' + columns.join(', ') + ' from shipment')`,
    `const ORDER = { newest: 'created_at desc', oldest: 'created_at' }; f = (by) => db.many(\`select 1 order by \${ORDER[by]}\`)`,
    `f = (up) => db.many(\`select * from shipment order by id \${up ? 'asc' : 'desc'}\`)`,
    `for (const table of ['a', 'b']) db.query(\`analyze \${table}\`)`,
    `['a', 'b'].map((table) => db.query(\`analyze \${table}\`))`,
    `for (const [table, key] of [['a', 'id'], ['b', 'no']]) db.query(\`select \${key} from \${table}\`)`,
    // The dynamic filter as it should be: texts are constants, values are numbered.
    `function find(f) {
      const where = ['true']; const values = []
      if (f.status) where.push(\`status = $\${values.push(f.status)}\`)
      if (f.mode) { values.push(f.mode); where.push('mode = $' + values.length) }
      return db.many(\`select * from shipment where \${where.join(' and ')}\`, values)
    }`,
    `f = (ids) => db.many(\`select * from t where id in (\${ids.map((_, i) => \`$\${i + 1}\`).join(', ')})\`, ids)`,
    `f = (n) => db.many('select * from t limit ' + Number(n))`,
    `f = (name) => db.many(\`select * from \${escapeIdentifier(name)}\`)`,
    `f = (quotedTable) => db.many(\`select * from \${quotedTable}\`)`,
    `f = (name) => db.many(\`select * from "\${name.replaceAll('"', '""')}"\`)`,
    { code: `f = (x) => db.many('select ' + columnsOf(x))`, options: [{ safeNames: ['columnsOf'] }] },
    `import { COLUMNS } from './columns.js'; db.many(\`select \${COLUMNS} from t\`)`,
    // A function of the file that is only called with constants.
    `function lockRow(lock = '') { return db.one(\`select 1 from t \${lock}\`) } lockRow(); lockRow('for update')`,
    `const [text, count] = search ? [A1, 'select 1'] : ['select 2', 'select 3']; db.many(\`with x as (\${count}) select 1\`); const A1 = ''`,
    // What cannot be followed is not reported, what is no database neither.
    `db.many(buildQuery(x))`,
    `db.query(text)`,
    `document.query(\`a[href="\${x}"]\`)`,
    `http.query(\`/users/\${id}\`)`,
    `client.query(\`/users/\${id}\`)`,
    `client.query({ query: \`{ a(id: \${id}) }\` })`,
    `sql.raw('for update')`,
    `prisma.$queryRawUnsafe('select 1')`,
    `String.raw(\`\${x}\`)`,
    // Circles end.
    `let a = b; let b = a; db.query(a)`,
    `function f(x) { return f(x) } db.query('select ' + f('1'))`,
  ],
  invalid: [
    { code: 'db.many(`select * from shipment where id = ${id}`)', errors: [spliced('many')] },
    { code: `db.one('select * from shipment where id = ' + id)`, errors: [spliced('one')] },
    { code: `tx.maybeOne("select * from t where n = '" + req.query.n + "'")`, errors: [spliced('maybeOne')] },
    { code: 'rowhouse.pool.query({ text: `select ${x}` })', errors: [spliced('query')] },
    {
      code: 'class A { #db; f(x) { return this.#db.query(`delete from t where id = ${x}`) } }',
      errors: [spliced('query')],
    },
    { code: 'const text = `select ${x}`; db.query(text)', errors: [spliced('query')] },
    { code: `let text = 'select 1'; if (x) text += ' where y = ' + x; db.query(text)`, errors: [spliced('query')] },
    { code: `let text = 'select 1'; text += x; db.query(text)`, errors: [spliced('query')] },
    { code: `db.query(base + ' where id = ' + id)`, errors: [spliced('query')] },
    { code: 'db.query(`${base} where id = 1`)', errors: [spliced('query')] },
    { code: `db.query('select {id}'.replace('{id}', id))`, errors: [spliced('query')] },
    { code: `db.query('select '.concat(id))`, errors: [spliced('query')] },
    {
      code: `const where = ['true']; where.push('a = ' + x); db.query('select 1 where ' + where.join(' and '))`,
      errors: [spliced('query')],
    },
    { code: `db.query(['select', column, 'from t'].join(' '))`, errors: [spliced('query')] },
    {
      code: `function byId(id) { return \`select * from t where id = \${id}\` } db.query(byId(req.id))`,
      errors: [spliced('query')],
    },
    {
      code: `function lockRow(lock = '') { return db.one(\`select 1 \${lock}\`) } lockRow(); lockRow(x)`,
      errors: [spliced('one')],
    },
    {
      code: `export function lockRow(lock) { return db.one(\`select 1 \${lock}\`) } lockRow('a')`,
      errors: [spliced('one')],
    },
    { code: `const T = { a: 'x', b: y }; db.query(\`select \${T[k]}\`)`, errors: [spliced('query')] },
    { code: `for (const t of tables) db.query(\`analyze \${t}\`)`, errors: [spliced('query')] },
    { code: `repository.query(\`select * from t where id = \${id}\`)`, errors: [spliced('query')] },
    { code: `db.cursor('-- all\\n select ' + x)`, errors: [spliced('cursor')] },
    { code: `db.copyOut(\`copy (select \${x}) to stdout\`)`, errors: [spliced('copyOut')] },
    {
      code: `import { columns } from './columns.js'; db.many(\`select \${columns} from t\`)`,
      errors: [spliced('many')],
    },
    { code: 'db.many(`select ${limit ?? 5}`)', errors: [spliced('many')] },
    // Constants that double each other are given up on, in time.
    {
      code: `const a0 = 'x'; ${Array.from({ length: 60 }, (_, i) => `const a${i + 1} = a${i} + a${i};`).join(' ')} db.query(a60)`,
      errors: [spliced('query')],
    },
    { code: 'sql.raw(`order by ${x}`)', errors: [raw('sql.raw()', 'sql`…`')] },
    { code: 'sql.raw(x)', errors: [raw('sql.raw()', 'sql`…`')] },
    { code: 'sql.unsafe(x)', errors: [raw('sql.unsafe()', 'sql`…`')] },
    { code: 'Prisma.raw(x)', errors: [raw('Prisma.raw()', 'Prisma.sql`…`')] },
    { code: 'prisma.$queryRawUnsafe(text, id)', errors: [raw('$queryRawUnsafe()', '$queryRaw`…`')] },
    {
      code: 'prisma.$executeRawUnsafe(`delete from t where id = ${x}`)',
      errors: [raw('$executeRawUnsafe()', '$executeRaw`…`')],
    },
  ],
})

typescript.run('no-interpolated-sql in TypeScript', noInterpolatedSql, {
  valid: [
    `const LIST = ['a', 'b'] as const; db.many<Row>(\`select \${LIST.join(', ')}\`)`,
    `function f(by: 'asc' | 'desc') { return db.many(\`select 1 order by 1 \${by}\`) }`,
    `const M = { a: 'x' } satisfies Record<string, string>; db.many(\`select \${M[k as 'a']!}\`)`,
  ],
  invalid: [
    { code: 'function f(by: string) { return db.many<Row>(`select 1 order by ${by}`) }', errors: [spliced('many')] },
    { code: 'db!.query((`select ${x}`) as string)', errors: [spliced('query')] },
    { code: 'function f(id: number) { return db.many(`select ${id}`) }', errors: [spliced('many')] },
  ],
})
