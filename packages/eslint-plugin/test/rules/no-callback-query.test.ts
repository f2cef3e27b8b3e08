import { noCallbackQuery } from '../../src/rules/no-callback-query.ts'
import { javascript, typescript } from '../support/rule-tester.ts'

const callback = (method: string) => ({
  message: `Cannot trust the tenant inside of this callback: it runs in the context of whoever freed the connection, often another tenant; write const result = await ${method}(…)`,
})

javascript.run('no-callback-query', noCallbackQuery, {
  valid: [
    `rowhouse.pool.query('select 1', [])`,
    `rowhouse.pool.query('select 1').then((result) => result.rows)`,
    `db.transaction(async (tx) => tx.query('select 1'))`,
    `rowhouse.withTenant('acme', (db) => db.many('select 1'))`,
    `socket.connect((error) => {})`,
    `client.connect(() => {})`,
    `page.query('.button', (element) => element.click())`,
    `graph.query(text, (node) => node)`,
    `pool.query('select 1', values, options)`,
    `array.map((row) => db.query('select 1', [row]))`,
    `db.each(callback)`,
  ],
  invalid: [
    { code: `rowhouse.pool.query('select 1', [], (error, result) => {})`, errors: [callback('query')] },
    { code: `rowhouse.pool.query('select 1', function (error, result) {})`, errors: [callback('query')] },
    { code: `client.query(sql, values, callback)`, errors: [callback('query')] },
    { code: `this.client?.query({ text: sql }, done)`, errors: [callback('query')] },
    { code: `anything.query('select * from shipment', (error) => {})`, errors: [callback('query')] },
    { code: `rowhouse.pool.connect((error, client, release) => {})`, errors: [callback('connect')] },
  ],
})

typescript.run('no-callback-query in TypeScript', noCallbackQuery, {
  valid: [`await (db as Pool).query<Row>('select 1', [] as const)`],
  invalid: [
    { code: `(db as Pool).query<Row>('select 1', [], ((e: Error) => {}) as never)`, errors: [callback('query')] },
    { code: `pool!.query('select 1', cb!)`, errors: [callback('query')] },
  ],
})
