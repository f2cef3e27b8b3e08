import { noUnscopedContext } from '../../src/rules/no-unscoped-context.ts'
import { javascript, typescript } from '../support/rule-tester.ts'

const floating = (method: string) =>
  `Cannot tell whether ${method}() succeeded: nobody waits for its promise; await it, return it, or add .catch() where it must go on by itself`
const lost = (call: string, method = 'withTenant') =>
  `Cannot wait for ${call}() here: the callback of ${method}() ends before it does, and what runs later is outside of its scope; await or return it`

javascript.run('no-unscoped-context', noUnscopedContext, {
  valid: [
    `async () => { await rowhouse.withTenant('a', async (db) => { await db.query('') }) }`,
    `f = () => rowhouse.withTenant('a', (db) => db.query(''))`,
    `function f() { return rowhouse.crossTenant({}, (across) => across.many('')) }`,
    `rowhouse.withTenant('a', (db) => db.query('')).catch(log)`,
    `void rowhouse.withTenant('a', (db) => db.query('')).catch(log)`,
    `const done = rowhouse.withTenant('a', (db) => db.query(''))`,
    `Promise.all(slugs.map((slug) => rowhouse.withTenant(slug, (db) => db.query(''))))`,
    `slugs.forEach((slug) => jobs.push(rowhouse.withTenant(slug, f)))`,
    `async () => { await rowhouse.withTenant('a', async (db) => { const [a] = await Promise.all([db.one('')]); return a }) }`,
    `async () => { await rowhouse.withTenant('a', async (db) => { other.query('') }) }`,
    `async () => { await rowhouse.withTenant('a', (db) => { return db.query('') }) }`,
    `async () => { await rowhouse.withTenant('a', async (db) => { const rows = db.many(''); await rows }) }`,
    `worker.transaction((job) => { job.query() })`,
  ],
  invalid: [
    {
      code: `async () => { rowhouse.withTenant('a', (db) => db.query('')) }`,
      errors: [
        {
          message: floating('withTenant'),
          suggestions: [
            { messageId: 'await', output: `async () => { await rowhouse.withTenant('a', (db) => db.query('')) }` },
          ],
        },
      ],
    },
    {
      code: `rowhouse.crossTenant(o, f)`,
      errors: [
        {
          message: floating('crossTenant'),
          suggestions: [{ messageId: 'await', output: `await rowhouse.crossTenant(o, f)` }],
        },
      ],
    },
    {
      code: `f = () => { withTenant('a', g) }`,
      errors: [
        {
          message: floating('withTenant'),
          suggestions: [{ messageId: 'asyncAwait', output: `f = async () => { await withTenant('a', g) }` }],
        },
      ],
    },
    { code: `function f() { ready && rowhouse.withTenant('a', g) }`, errors: [{ message: floating('withTenant') }] },
    { code: `void rowhouse.withTenant('a', g)`, errors: [{ message: floating('withTenant') }] },
    { code: `slugs.forEach((slug) => rowhouse.withTenant(slug, g))`, errors: [{ message: floating('withTenant') }] },
    {
      code: `slugs.forEach(async (slug) => { return rowhouse.withTenant(slug, g) })`,
      errors: [{ message: floating('withTenant') }],
    },
    { code: `setInterval(() => rowhouse.withTenant('a', g), 9)`, errors: [{ message: floating('withTenant') }] },
    {
      code: `f = () => rowhouse.withTenant('a', async (db) => { db.query('') })`,
      errors: [
        {
          message: lost('query'),
          suggestions: [
            { messageId: 'await', output: `f = () => rowhouse.withTenant('a', async (db) => { await db.query('') })` },
          ],
        },
      ],
    },
    {
      code: `f = () => rowhouse.withTenant('a', (db) => { db.query('') })`,
      errors: [
        {
          message: lost('query'),
          suggestions: [
            {
              messageId: 'asyncAwait',
              output: `f = () => rowhouse.withTenant('a', async (db) => { await db.query('') })`,
            },
          ],
        },
      ],
    },
    {
      code: `f = () => db.transaction(async (tx) => { rows.forEach((row) => tx.query('', [row])) })`,
      errors: [{ message: lost('query', 'transaction') }],
    },
    {
      code: `f = () => rowhouse.crossTenant(o, async (across) => { void across.each(g) })`,
      errors: [{ message: lost('each', 'crossTenant') }],
    },
  ],
})

typescript.run('no-unscoped-context in TypeScript', noUnscopedContext, {
  valid: [`async () => { (await rowhouse!.withTenant('a', (db: Db) => db.query(''))) as Row }`],
  invalid: [
    {
      code: `async () => { rowhouse!.withTenant<Row>('a', g) }`,
      errors: [
        {
          message: floating('withTenant'),
          suggestions: [{ messageId: 'await', output: `async () => { await rowhouse!.withTenant<Row>('a', g) }` }],
        },
      ],
    },
  ],
})
