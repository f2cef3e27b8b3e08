// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are source code

import { noSessionState } from '../../src/rules/no-session-state.ts'
import { javascript, typescript } from '../support/rule-tester.ts'

const state = (found: string, instead: string) => ({
  message: `Cannot keep "${found}" to this tenant: connections serve all tenants in turn, and this outlives the transaction; use ${instead}`,
})
const OWN = 'a connection of your own, outside of tenant work'
const LOCAL = 'set local inside of db.transaction()'
const CTE = 'a common table expression or a real table'

javascript.run('no-session-state', noSessionState, {
  valid: [
    `tx.query('set local work_mem = $1')`,
    `tx.query('set transaction isolation level serializable'); tx.query('set constraints all deferred')`,
    `db.query('update shipment set status = $1')`,
    `db.query('select pg_advisory_xact_lock($1)')`,
    `db.query("select set_config('a.b', $1, true)")`,
    `db.query("select 'listen; set role x' as text")`,
    `db.query('select 1 -- ; set role x')`,
    `db.query('select 1 /* ; /* discard all */ ; listen x */')`,
    `db.query('select $q$; set role x;$q$, $1')`,
    `db.query('select e\\'\\\\\\'; reset all\\'')`,
    `db.query('select "pg_advisory_lock" (1)')`,
    `db.query('select pg_advisory_lock from t')`,
    `db.query('insert into listen (a) values (1)')`,
    `db.query('create table temp (id int)')`,
    `db.query('create table prepare_temp (temp int)')`,
    `db.query('notify x')`,
    `db.query(text)`,
    `events.query('a listen b')`,
    `emitter.on('listen', f)`,
    // Connections of its own: no-raw-pool decides whether this file may have them.
    `import pg from 'pg'; client.query('set role x')`,
  ],
  invalid: [
    { code: `db.query('LISTEN orders')`, errors: [state('listen', OWN)] },
    { code: `db.query("set timezone = 'UTC'")`, errors: [state('set timezone', LOCAL)] },
    { code: `db.query('set session characteristics as transaction read only')`, errors: [state('set session', LOCAL)] },
    { code: 'db.query(`/* as */ set role ${x}`)', errors: [state('set role', LOCAL)] },
    { code: `db.query('create temp table a (id int)')`, errors: [state('create temp', CTE)] },
    { code: `db.query('create or replace temporary view a as select 1')`, errors: [state('create temporary', CTE)] },
    { code: `db.query('select 1 into temp a')`, errors: [state('select into temp', CTE)] },
    {
      code: `const Q = 'prepare a as select 1'; tx.query(Q)`,
      errors: [state('prepare', 'the statement with parameters; Rowhouse prepares it')],
    },
    {
      code: `db.many('select pg_advisory_lock($1)', [1])`,
      errors: [state('pg_advisory_lock()', 'pg_advisory_xact_lock()')],
    },
    {
      code: `db.one('select pg_catalog.pg_try_advisory_lock (1)')`,
      errors: [state('pg_try_advisory_lock()', 'pg_try_advisory_xact_lock()')],
    },
    {
      code: `db.query('discard all')`,
      errors: [state('discard', 'nothing: Rowhouse leaves nothing behind that would have to be discarded')],
    },
    {
      code: `db.query('reset all')`,
      errors: [state('reset', 'set local inside of db.transaction(), which ends by itself')],
    },
    {
      code: `db.query("select set_config('app.tenant_id', coalesce($1, ''), false)")`,
      errors: [state('set_config(…, false)', 'set_config(…, true), which ends with the transaction')],
    },
    {
      code: `db.query('declare c cursor with hold for select 1')`,
      errors: [state('declare … with hold', 'db.cursor()')],
    },
    { code: `db.query('select 1; set role x')`, errors: [state('set role', LOCAL)] },
    { code: `anything.query('listen orders')`, errors: [state('listen', OWN)] },
  ],
})

typescript.run('no-session-state in TypeScript', noSessionState, {
  valid: [`db.query<Row>('set local role x' as string)`],
  invalid: [
    // A type is no connection.
    { code: `import type pg from 'pg'; client.query<Row>('set role x')`, errors: [state('set role', LOCAL)] },
  ],
})
