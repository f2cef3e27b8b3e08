import { readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { LINT_RULES } from '../../src/fleet/lint/rules.ts'
import { type LintFinding, lintMigration, lintMigrations } from '../../src/fleet/lint.ts'
import type { Migration } from '../../src/fleet/migration.ts'
import { parseMigration } from '../../src/fleet/parse-migration.ts'
import { LINT_FIXTURES, type LintFixture, SHIPMENT } from './lint-fixtures.ts'

/** What takes a decision no SQL makes, or nothing but taking a line out. */
const WITHOUT_SQL = [
  'M19',
  'M25',
  'M27',
  'M28',
  'M29',
  'M35',
  'M36',
  'M38',
  'M39',
  'M40',
  'M41',
  'M42',
  'M43',
  'M44',
  'M46',
  'M49',
]

let database: TestDatabase
let client: pg.Client

beforeAll(async () => {
  database = await createTestDatabase()
  client = new pg.Client({ connectionString: database.adminUrl })
  await client.connect()
})
afterAll(async () => {
  await client.end()
  await database.drop()
})

async function parseAll(texts: readonly string[]): Promise<Migration[]> {
  const shared = new Set<string>()
  const migrations: Migration[] = []
  for (const [place, text] of texts.entries()) {
    const number = `000${place + 1}`
    migrations.push(
      await parseMigration({ id: `${number}-x`, number, name: 'x', file: `${number}-x.sql`, text }, shared),
    )
  }
  return migrations
}

async function lintLast(texts: readonly string[], majors: readonly number[] = [15]): Promise<readonly LintFinding[]> {
  const migrations = await parseAll(texts)
  const last = migrations.at(-1)
  if (last === undefined) throw new Error('no migration')
  return lintMigration(last, { majors, earlier: migrations.slice(0, -1) })
}

/** Runs files one after the other in a schema of their own, as a tenant's schema would be migrated. */
async function run(texts: readonly string[]): Promise<void> {
  await client.query(
    'drop schema if exists t_lint cascade; create schema t_lint; discard temp; set search_path = t_lint, public',
  )
  await client.query('drop extension if exists pg_trgm')
  for (const { transactional, statements } of await parseAll(texts)) {
    if (transactional) await client.query('begin')
    try {
      for (const { text } of statements) await client.query(text)
      if (transactional) await client.query('commit')
    } catch (error) {
      if (transactional) await client.query('rollback')
      throw new Error(`${(error as Error).message} in ${texts.join('\n---\n')}`)
    }
  }
}

const title = ({ rule, bad }: LintFixture) => `${rule} on ${bad.slice(0, 70).replaceAll('\n', ' ')}`

describe.each(LINT_FIXTURES.map((fixture) => [title(fixture), fixture] as const))(
  'lintMigration() speaks as %s',
  (_, fixture) => {
    const { rule, earlier = [SHIPMENT], bad, good, majors, addedTo } = fixture

    it('finds what is not wanted, with the line and a reason', async () => {
      const found = (await lintLast([...earlier, bad], majors)).filter((each) => each.rule === rule)
      expect(found).not.toEqual([])
      for (const { line, why, message } of found) {
        expect(line).toBeGreaterThan(0)
        expect(why).not.toBe('')
        expect(message).toMatch(/\S/)
      }
    })

    it('is silent on what is wanted, which PostgreSQL runs', async () => {
      expect((await lintLast([...earlier, good], majors)).filter((each) => each.rule === rule)).toEqual([])
      await run([...earlier, good])
    })

    it('proposes SQL that PostgreSQL runs and that it does not speak about again', async () => {
      const [found] = (await lintLast([...earlier, bad], majors)).filter(
        (each) => each.rule === rule && each.mend.length > 0,
      )
      if (found === undefined) return
      await run([...earlier, ...(addedTo === undefined ? [] : [addedTo]), ...found.mend])
      const again = lintMigrations(await parseAll([...earlier, ...found.mend]), { majors: majors ?? [15] })
      const place = `000${earlier.length + 1}-x`
      expect(again.filter((each) => each.rule === rule && each.migration >= place)).toEqual([])
    })
  },
)

describe('the rules of the lint', () => {
  it('are all seen to speak: a rule that never did is none', () => {
    expect([...new Set(LINT_FIXTURES.map((each) => each.rule))].sort()).toEqual(
      LINT_RULES.map((each) => each.id).sort(),
    )
  })

  it('propose SQL, save where a person has to decide', async () => {
    const silent = new Set(LINT_RULES.map((each) => each.id as string))
    for (const { earlier = [SHIPMENT], bad, majors } of LINT_FIXTURES) {
      for (const { rule, mend } of await lintLast([...earlier, bad], majors)) if (mend.length > 0) silent.delete(rule)
    }
    expect([...silent]).toEqual(WITHOUT_SQL)
  })

  it('have ids and names of their own', () => {
    expect(new Set(LINT_RULES.map((each) => each.id)).size).toBe(LINT_RULES.length)
    expect(new Set(LINT_RULES.map((each) => each.name)).size).toBe(LINT_RULES.length)
  })

  it('are listed in docs/guides/migrations-lint.md, each in one line', () => {
    const page = readFileSync(new URL('../../../../docs/guides/migrations-lint.md', import.meta.url), 'utf8')
    const rows = page.split('\n').filter((line) => /^\| M\d+ \|/.test(line))
    const wanted = LINT_RULES.map(
      (rule) => `| ${rule.id} | \`${rule.name}\` | ${rule.severity} | ${rule.title} | ${rule.instead} |`,
    )
    expect(rows).toEqual(wanted)
  })

  it('let a sound migration pass without a word', async () => {
    const text = [
      '-- rowhouse: phase expand',
      'create table leg (tenant_id uuid not null, id bigint generated always as identity, shipment_id bigint not null, primary key (tenant_id, id),',
      '  foreign key (tenant_id, shipment_id) references shipment (tenant_id, id) on delete cascade);',
      'create index leg_shipment on leg (tenant_id, shipment_id);',
      "alter table shipment add column mode text not null default 'sea';",
    ].join('\n')
    expect(await lintLast([SHIPMENT, text])).toEqual([])
    await run([SHIPMENT, text])
    await client.query("select rowhouse.protect('shipment'), rowhouse.protect('leg')")
  })
})

describe('the batches the lint proposes', () => {
  it.each([
    [
      "update shipment set status = 'booked', weight = null where code is null and id > 7",
      "status = 'booked' and weight is null",
      11_993,
    ],
    ['update shipment set weight = weight where id > 0', 'weight = 1', 12_000],
    ['delete from shipment where id > 100', 'true', 100],
  ])('do all of %s, in more than one transaction', async (text, condition, rows) => {
    const fill =
      'insert into shipment (tenant_id, id, weight) select gen_random_uuid(), n, 1 from generate_series(1, 12000) n;'
    const [found] = (await lintLast([SHIPMENT, `${text};`])).filter((each) => each.rule === 'M09')
    await run([SHIPMENT, fill, ...(found?.mend ?? [])])
    const counted = await client.query(
      `select count(*)::int as rows, count(distinct xmin::text)::int as transactions from shipment where ${condition}`,
    )
    expect(counted.rows[0].rows).toBe(rows)
    if (text.includes('booked')) expect(counted.rows[0].transactions).toBe(3)
  })
})

describe('-- rowhouse: allow', () => {
  const index = 'create index on shipment (tenant_id, code);'

  it('marks the findings of the file with the reason', async () => {
    const found = await lintLast([SHIPMENT, `-- rowhouse: allow M10 forty rows at most\n${index}`])
    expect(found.map(({ rule, allowed }) => [rule, allowed])).toEqual([['M10', 'forty rows at most']])
  })

  it('behind the first statement concerns the statement it stands at or before, and no other', async () => {
    const text = `${index}\n${index} -- rowhouse: allow M10 at the end\n-- rowhouse: allow M10 before\n${index}\n${index}`
    const found = await lintLast([SHIPMENT, text])
    expect(found.map(({ line, allowed }) => [line, allowed])).toEqual([
      [1, undefined],
      [2, 'at the end'],
      [4, 'before'],
      [5, undefined],
    ])
  })

  it('of a rule that does not exist is found', async () => {
    const found = await lintLast([SHIPMENT, `-- rowhouse: allow M99 whatever\nalter table shipment add column x int`])
    expect(found).toMatchObject([{ rule: 'M49', line: 1, message: 'there is no rule M99' }])
  })
})

describe('lintMigrations()', () => {
  it('knows what the files before made', async () => {
    const texts = [
      SHIPMENT,
      'alter table shipment alter column code type varchar(20);',
      'alter table shipment alter column code type varchar(15);',
    ]
    const found = lintMigrations(await parseAll(texts))
    expect(found.map(({ migration, rule, message }) => [migration, rule, message])).toEqual([
      ['0003-x', 'M04', 'shipment.code becomes varchar(15), from varchar(20): the table may be rewritten'],
    ])
  })

  it('shows its speed on 500 files', async () => {
    const texts = Array.from(
      { length: 500 },
      (_, place) =>
        SHIPMENT.replaceAll('shipment', `shipment_${place}`) +
        `\nalter table shipment_${place} add column note text;\ncreate index shipment_${place}_i on shipment_${place} (tenant_id, note);`,
    )
    const started = performance.now()
    const migrations = await parseAll(texts)
    const parsed = performance.now()
    const found = lintMigrations(migrations, { majors: [15, 18] })
    console.log(
      `500 files: parsed in ${(parsed - started).toFixed(0)} ms, linted in ${(performance.now() - parsed).toFixed(0)} ms`,
    )
    expect(found).toEqual([])
  })
})
