import pg from 'pg'
import type { ScopedDb } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RehearsalOptions, rehearseMoves } from '../../src/testing/index.ts'
import { createPlatform, type Platform } from '../support/platform.ts'

let platform: Platform
let admin: pg.Client
beforeAll(async () => {
  platform = await createPlatform()
  admin = new pg.Client({ connectionString: platform.central.adminUrl })
  await admin.connect()
  await platform.admin.query(`insert into port values ('AEJEA', 'Jebel Ali')`)
  await platform.onOld((old) => old.query(`insert into port values ('AEJEA', 'Jebel Ali')`))
})
afterAll(async () => {
  await admin.end()
  await platform.close()
})

const write = async (db: ScopedDb, n: number) => {
  await db.transaction(async (tx) => {
    const { id } = await tx.one<{ id: string }>(
      `insert into shipment (reference, port_code) values ($1, 'AEJEA') returning id`,
      [`AWB-${n}`],
    )
    await tx.query('insert into leg (id, shipment_id) values ($1, $1)', [id])
  })
  return `AWB-${n}`
}
const read = async (db: ScopedDb) =>
  (await db.many<{ reference: string }>('select reference from shipment join leg on shipment_id = shipment.id')).map(
    ({ reference }) => reference,
  )

const ELSEWHERE = [{ model: 'pooled', server: 'old-1' }] as const

function rehearse(changes: Partial<RehearsalOptions> = {}) {
  const { adminUrl: url, appUrl, rootKey } = platform.central
  const { migrations, plane } = platform
  return rehearseMoves({ url, appUrl, rootKey, migrations, plane, write, read, placements: ELSEWHERE, ...changes })
}

/** Nothing that can be seen: no tenant that lives, no row, no trigger, no orphan. */
async function expectClean(): Promise<void> {
  const { rows } = await admin.query(
    `select slug from rowhouse.tenant where slug like 'rehearsal%' and state <> 'erased'`,
  )
  expect(rows).toEqual([])
  for (const text of ['select from shipment', `select from pg_trigger where tgname ~ '^rowhouse_move_'`]) {
    expect((await admin.query(text)).rowCount).toBe(0)
    expect(await platform.onOld(async (old) => (await old.query(text)).rowCount)).toBe(0)
  }
  expect(await platform.plane.findOrphans()).toEqual([])
}

const REFUSED: readonly (readonly [string, Partial<RehearsalOptions>, RegExp])[] = [
  [
    'write that throws',
    { write: () => Promise.reject(new Error('no branch')) },
    /"write" fails before anything is moved: no branch/,
  ],
  ['write without an identity', { write: async () => '' }, /"write" returned ""; wanted the identity/],
  [
    'read that is blind',
    { read: async () => [] },
    /"read" does not return what "write" returned.+: 40 missing, 0 twice, 0 unknown/,
  ],
  ['rows out of range', { rows: 0 }, /rows 0: wanted a whole number from 1 to 100000/],
  ['no placement', { placements: [] }, /"placements" is empty/],
]

describe('rehearseMoves()', () => {
  it('moves a tenant that writes, aborts, reverts, restores, finds nothing wrong and leaves nothing', async () => {
    const kinds: string[] = []
    const report = await rehearse({ onEvent: ({ kind }) => kinds.push(kind) })
    expect(report).toMatchObject({ faults: [], ok: true, lost: 0, doubled: 0, foreign: 0, left: [] })
    expect(report.moves.map(({ ended, to }) => [ended, to.model, to.server])).toEqual([
      ['aborted', 'pooled', 'old-1'],
      ['reverted', 'pooled', 'old-1'],
      ['completed', 'pooled', 'old-1'],
      ['completed', 'pooled', 'main'],
    ])
    expect(report.moves.map(({ pausesMs }) => pausesMs.length)).toEqual([0, 2, 1, 1])
    expect(report.acknowledged).toBeGreaterThan(100 + 4 * 3)
    expect(report.pauseMs.p50).toBeGreaterThan(0)
    expect(report.gaps).toEqual([expect.objectContaining({ table: 'shipment', reason: 'shared-rows', isFault: false })])
    expect(report.neighbour.after).toBe(report.neighbour.before)
    // What shows that the checker sees: rows that were deleted, and rows of another tenant.
    expect(report.control).toMatchObject({ foreign: 100 })
    expect(report.control.lost).toBeGreaterThan(10)
    expect(report.restore).toMatchObject({ changedTables: [] })
    expect(report.restore?.deleted).toBe(report.restore?.inserted)
    expect(report.restore?.diff.find(({ table }) => table === 'leg')).toMatchObject({ extra: 0, changed: 0 })
    expect(kinds).toEqual(['filled', ...Array(4).fill('moved'), 'compared', 'restored'])
    await expectClean()
  })

  it('finds writes that go around Rowhouse to the old home', async () => {
    const report = await rehearse({
      rows: 20,
      write: async (db, n) => {
        const reference = `AWB-${n}`
        const { id } = await db.one<{ id: string }>('select rowhouse.current_tenant_id() as id')
        await admin.query(
          `with s as (insert into shipment (tenant_id, reference) values ($1, $2) returning id)
           insert into leg (tenant_id, id, shipment_id) select $1, id, id from s`,
          [id, reference],
        )
        return reference
      },
    })
    expect(report.ok).toBe(false)
    expect(report.lost).toBeGreaterThan(0)
    expect(report.faults).toContainEqual(
      expect.stringMatching(/^\d+ acknowledged writes were lost, such as "AWB-\d+"$/),
    )
    await expectClean()
  })

  it('finds a trigger that changes rows as they are copied, and tables no move carries', async () => {
    const old = (text: string) => platform.onOld((client) => client.query(text))
    await old(`create function spoil() returns trigger language plpgsql as $$ begin new.note := 'spoilt'; return new; end $$;
      create trigger spoil before insert on leg for each row execute function spoil(); alter table leg enable always trigger spoil`)
    await admin.query(`create table diary (tenant_id uuid, line text);
      create function noop() returns trigger language plpgsql as $$ begin return new; end $$;
      create trigger noop before insert on leg for each row execute function noop(); alter table leg enable always trigger noop;
      create sequence number_of_invoices`)
    const report = await rehearse({ rows: 20 })
    await old('drop trigger spoil on leg; drop function spoil')
    await admin.query(
      'drop table diary; drop trigger noop on leg; drop function noop; drop sequence number_of_invoices',
    )
    expect(report.ok).toBe(false)
    expect(report.moves.map(({ ended, code }) => [ended, code])).toEqual([
      ['aborted', 'ERR_MOVE_ABORTED'],
      ['refused', 'ERR_MOVE_DIVERGED'],
      ['refused', 'ERR_MOVE_DIVERGED'],
      ['refused', 'ERR_MOVE_IMPOSSIBLE'],
    ])
    expect(report.gaps.map(({ table, reason, isFault }) => [table, reason, isFault])).toEqual([
      ['diary', 'unprotected', true],
      ['leg', 'always-trigger', true],
      ['number_of_invoices', 'loose-sequence', false],
      ['shipment', 'shared-rows', false],
    ])
    expect(report.faults).toContainEqual(expect.stringContaining('"diary" has a column tenant_id and no wall'))
    expect(report.faults).toContainEqual(
      expect.stringContaining('the move from pooled on main to pooled on old-1 failed'),
    )
    // Nothing was lost by what was refused.
    expect(report).toMatchObject({ lost: 0, left: [] })
    await expectClean()
  })

  it('finds a table without a primary key', async () => {
    await admin.query(`create table tag (tenant_id uuid not null, word text not null, primary key (tenant_id, word));
      alter table tag owner to rowhouse_owner; select rowhouse.protect('tag');
      alter table tag drop constraint tag_pkey; create index tag_idx on tag (tenant_id)`)
    const report = await rehearse({ rows: 20 })
    await admin.query('drop table tag')
    expect(report.gaps).toContainEqual(
      expect.objectContaining({ table: 'tag', reason: 'no-primary-key', isFault: true }),
    )
    expect(report.moves.every(({ code }) => code === 'ERR_MOVE_IMPOSSIBLE')).toBe(true)
    expect(report.ok).toBe(false)
    await expectClean()
  })

  it('says what it could not remove, beside what went wrong', async () => {
    const { plane } = platform
    let held = ''
    const prepare = async (db: ScopedDb) => {
      held = (await db.one<{ id: string }>('select rowhouse.current_tenant_id() as id')).id
      await plane.lifecycle.hold(held, { reason: 'a case in court', by: 'Ada' })
      throw new Error('no branch')
    }
    const error = await rehearse({ prepare }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(AggregateError)
    expect((error as AggregateError).message).toMatch(/left behind: tenant "rehearsal-[0-9a-f]+": .+legal hold/)
    expect((error as AggregateError).errors).toEqual([
      new TypeError('Cannot rehearse moves: "prepare" fails before anything is moved: no branch'),
    ])
    await plane.lifecycle.requestLift(held, { by: 'Ada', reason: 'the case is closed' })
    await plane.lifecycle.confirmLift(held, { by: 'Grace' })
    await plane.lifecycle.erase(held, { by: 'Ada', now: true, reason: 'the case is closed' })
    await expectClean()
  })

  it.each(REFUSED)('refuses a %s, and leaves nothing', async (_name, changes, message) => {
    await expect(rehearse({ rows: 20, ...changes })).rejects.toThrow(message)
    await expectClean()
  })
})
