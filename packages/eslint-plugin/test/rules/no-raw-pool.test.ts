import { noRawPool } from '../../src/rules/no-raw-pool.ts'
import { javascript, typescript } from '../support/rule-tester.ts'

const rawPool = (module: string) => ({
  message: `Cannot let application code connect with "${module}" itself: such a connection has no tenant; use rowhouse.db, or hand rowhouse.pool to the library that wants a pg.Pool. Operator code is named in the option "allowFiles"`,
})

javascript.run('no-raw-pool', noRawPool, {
  valid: [
    `import { createRowhouse } from 'rowhouse'`,
    `import { types, DatabaseError, escapeIdentifier } from 'pg'`,
    `import pg from 'pg'; pg.types.setTypeParser(20, Number)`,
    `const { types } = require('pg')`,
    `const types = require('pg').types`,
    `require('./pg'); import('pg-types'); import x from 'postgres-array'`,
    `const require = 1; export { types } from 'pg'`,
    `load('pg')`,
    {
      code: `import { Pool } from 'pg'`,
      filename: '/app/src/operator/migrate.js',
      options: [{ allowFiles: ['src/operator/**'] }],
    },
    {
      code: `import { Pool } from 'pg'`,
      filename: 'C:\\app\\src\\migrate.js',
      options: [{ allowFiles: ['**/{migrate,seed}.js'] }],
    },
  ],
  invalid: [
    { code: `import { Pool } from 'pg'`, errors: [rawPool('pg')] },
    { code: `import { types, Client } from 'pg'`, errors: [rawPool('pg')] },
    { code: `import pg from 'pg'; new pg.Pool()`, errors: [rawPool('pg')] },
    { code: `import * as pg from 'pg'; pg.types; const C = pg['Client']`, errors: [rawPool('pg')] },
    { code: `import pg from 'pg'; hand(pg)`, errors: [rawPool('pg')] },
    { code: `import 'pg'`, errors: [rawPool('pg')] },
    { code: `const { Pool } = require('pg')`, errors: [rawPool('pg')] },
    { code: `const { Pool, types } = require('pg')`, errors: [rawPool('pg')] },
    { code: `async () => { const { Pool } = await import('pg') }`, errors: [rawPool('pg')] },
    { code: 'import(`pg`)', errors: [rawPool('pg')] },
    { code: `export { Pool } from 'pg'`, errors: [rawPool('pg')] },
    { code: `export * from 'pg'`, errors: [rawPool('pg')] },
    { code: `import postgres from 'postgres'`, errors: [rawPool('postgres')] },
    { code: `import pgp from 'pg-promise'`, errors: [rawPool('pg-promise')] },
    { code: `import { createPool } from 'slonik'`, errors: [rawPool('slonik')] },
    { code: `import { neon } from '@neondatabase/serverless'`, errors: [rawPool('@neondatabase/serverless')] },
    { code: `import { x } from '#db'`, options: [{ modules: ['#db'] }], errors: [rawPool('#db')] },
    {
      code: `import { Pool } from 'pg'`,
      filename: '/app/src/operators/migrate.js',
      options: [{ allowFiles: ['src/operator/**'] }],
      errors: [rawPool('pg')],
    },
  ],
})

typescript.run('no-raw-pool in TypeScript', noRawPool, {
  valid: [
    `import type { Pool } from 'pg'`,
    `import type pg from 'pg'`,
    `import { type Pool, type Client } from 'pg'`,
    `import pg from 'pg'; let pool: pg.Pool; export type C = typeof pg.Client`,
    `export type { Pool } from 'pg'`,
    `export type * from 'pg'`,
    `type P = import('pg').Pool`,
    `import type pg = require('pg')`,
    `import fs = require('node:fs')`,
  ],
  invalid: [
    { code: `import { type Client, Pool } from 'pg'`, errors: [rawPool('pg')] },
    { code: `import pg from 'pg'; const pool: pg.Pool = new pg.Pool()`, errors: [rawPool('pg')] },
    { code: `import pg = require('pg')`, errors: [rawPool('pg')] },
  ],
})
