/** Eight ways for a writer to look at a fence it had to wait for. Those that see the past write behind the fence. */

import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const LOCK = 4_242

const SETUP = `
  create table flag (id integer primary key, state text not null);
  create table written (shape text not null);
  insert into flag values (1, 'active');
  create function enter_volatile() returns text language plpgsql volatile as $$
    begin perform pg_advisory_xact_lock_shared(${LOCK}); return (select state from flag); end $$;
  create function enter_stable() returns text language plpgsql stable as $$
    begin perform pg_advisory_xact_lock_shared(${LOCK}); return (select state from flag); end $$;`

let database: TestDatabase
let mover: pg.Client
let writer: pg.Client
let watcher: pg.Client
beforeAll(async () => {
  database = await createTestDatabase()
  const connect = async () => {
    const client = new pg.Client({ connectionString: database.adminUrl })
    await client.connect()
    return client
  }
  mover = await connect()
  writer = await connect()
  watcher = await connect()
  await watcher.query(SETUP)
})
afterEach(() => watcher.query(`update flag set state = 'active'; truncate written`))
afterAll(async () => {
  for (const client of [mover, writer, watcher]) await client.end()
  await database.drop()
})

interface Shape {
  readonly isolation: 'read committed' | 'repeatable read'
  /** Each but the last is sent before; the last one returns the state the writer goes by. */
  readonly statements: readonly string[]
  /** What the writer believes after its wait; an error ends it. */
  readonly sees: 'active' | 'fenced' | '40001'
}

const TAKE_LOCK = `select pg_advisory_xact_lock_shared(${LOCK})`

const SHAPES: Record<string, Shape> = {
  'lock and read in one statement': {
    isolation: 'read committed',
    statements: [`with held as materialized (${TAKE_LOCK}) select state from flag, held`],
    sees: 'active',
  },
  'lock, then read': {
    isolation: 'read committed',
    statements: [TAKE_LOCK, 'select state from flag'],
    sees: 'fenced',
  },
  'a VOLATILE function': {
    isolation: 'read committed',
    statements: ['select enter_volatile() as state'],
    sees: 'fenced',
  },
  'a STABLE function': { isolation: 'read committed', statements: ['select enter_stable() as state'], sees: 'active' },
  'lock, then read, under REPEATABLE READ': {
    isolation: 'repeatable read',
    statements: [TAKE_LOCK, 'select state from flag'],
    sees: 'active',
  },
  'a VOLATILE function under REPEATABLE READ': {
    isolation: 'repeatable read',
    statements: ['select enter_volatile() as state'],
    sees: 'active',
  },
  'lock, then read FOR SHARE, under REPEATABLE READ': {
    isolation: 'repeatable read',
    statements: [TAKE_LOCK, 'select state from flag for share'],
    sees: '40001',
  },
  'no lock, only a read FOR SHARE': {
    isolation: 'read committed',
    statements: ['select state from flag for share'],
    sees: 'fenced',
  },
}

/** A writer as an application would write it: it writes where it believes that it may. */
async function write(name: string, { isolation, statements }: Shape): Promise<string> {
  await writer.query(`begin isolation level ${isolation}`)
  try {
    let state = ''
    for (const text of statements) state = (await writer.query(text)).rows[0]?.state
    if (state === 'active') await writer.query('insert into written values ($1)', [name])
    await writer.query('commit')
    return state
  } catch (error) {
    await writer.query('rollback')
    return String((error as { code?: unknown }).code)
  }
}

async function isWaiting(): Promise<boolean> {
  const { rows } = await watcher.query('select from pg_locks where pid = $1 and not granted', [
    (writer as unknown as { processID: number }).processID,
  ])
  return rows.length > 0
}

describe('a writer that waited behind the fence', () => {
  it.each(Object.keys(SHAPES))('by %s', async (name) => {
    const shape = SHAPES[name] as Shape
    await mover.query('begin')
    await mover.query('select pg_advisory_xact_lock($1)', [LOCK])
    await mover.query(`update flag set state = 'fenced'`)
    const writing = write(name, shape)
    await expect.poll(isWaiting).toBe(true)
    await mover.query('commit')
    expect(await writing).toBe(shape.sees)
    // What was written now is missing in the copy that the move took behind its fence.
    const { rows } = await watcher.query('select shape from written')
    expect(rows).toEqual(shape.sees === 'active' ? [{ shape: name }] : [])
  })
})
