/**
 * Every line of the isolation's SQL is there for something: without it the installation fails, or the doctor notices.
 *
 * By default a slice, another one in each version of the SQL; all lines with ROWHOUSE_PROOF_ALL_LINES=1.
 */

import { readdirSync, readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEmptyDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { examine } from '../../src/doctor/examine.ts'
import { ALL_RULES } from '../../src/doctor/rules.ts'
import { takeSurvey } from '../../src/doctor/survey.ts'

const FOLDER = new URL('../../../core/sql/', import.meta.url)
const FILES = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.sql'))
  .sort()
  .map((name) => ({ name, lines: readFileSync(new URL(name, FOLDER), 'utf8').split('\n') }))

interface Line {
  readonly file: number
  readonly line: number
  readonly text: string
}

const LINES: readonly Line[] = FILES.flatMap(({ lines }, file) =>
  lines.map((text, line) => ({ file, line, text })).filter(({ text }) => /\S/.test(text) && !/^\s*--/.test(text)),
)

/** What a later file makes again: of the older text nothing is left to notice. */
const REPLACED: ReadonlySet<string> = new Set(
  FILES.flatMap(({ lines }, file) => {
    let replaced = false
    let body = false
    return lines.flatMap((text, line) => {
      const [, name] = /^create (?:or replace )?(?:function|view) (rowhouse\.\w+)/.exec(text) ?? []
      if (name !== undefined) {
        const again = new RegExp(`^(create or replace|drop) (function|view) ${name}\\b`, 'm')
        replaced = FILES.slice(file + 1).some((later) => again.test(later.lines.join('\n')))
        body = false
      }
      const inside = replaced
      if (/^as \$\$|^begin atomic/.test(text)) body = true
      if (body ? /^(\$\$|end);/.test(text) : /;$/.test(text)) replaced = false
      return inside ? [`${file} ${line}`] : []
    })
  }),
)

/** Lines whose absence changes nothing that could be noticed here, each with the reason. */
const HARMLESS: readonly (readonly [text: RegExp, reason: string])[] = [
  [/create role rowhouse_|when duplicate_object/, 'the roles of this server are there already'],
  [/null; -- another database of this server/, 'an empty handler does the same'],
  [/grant rowhouse_owner to/, 'was granted on this server before, and a superuser needs no grant'],
  [/^\s*execute format\('grant connect on database/, 'PUBLIC may connect to a new database'],
  [/'grant create on database %I to rowhouse_owner'/, 'a right of the owner for migrations to come: it opens nothing'],
  [/revoke create on schema public from public/, 'since PostgreSQL 15 nobody has the right by default'],
  [/grant usage on schema public to rowhouse_app/, 'PUBLIC has it, and protect() grants it by name'],
  [/revoke all on schema rowhouse from public/, 'a new schema has no rights for PUBLIC'],
  [/^language sql volatile parallel safe$/, 'uuidv7(), which PostgreSQL 18 replaces by its own a few lines below'],
  [/^reset role;$/, 'the role is set for the transaction only'],
  [/^\s*order by 1$/, 'the order of the revocations changes nothing'],
  [/select on pg_catalog\.pg_locks from public/, 'the view runs a function that is revoked on its own'],
  [/to pg_monitor;$/, 'monitoring loses a view: nothing is opened'],
  [/exception when insufficient_privilege|raise notice 'rowhouse: % is not a superuser/, 'a superuser installs here'],
]

const SLICE = 60

function chooseLines(): readonly Line[] {
  if (process.env.ROWHOUSE_PROOF_ALL_LINES === '1') return LINES
  // A fixed step through all files: the slice moves on whenever the SQL changes.
  const step = LINES.length / SLICE
  const start = FILES.reduce((sum, { lines }) => sum + lines.length, 0) % Math.max(1, Math.floor(step))
  return Array.from({ length: SLICE }, (_, index) => LINES[Math.floor(start + index * step)]).filter(
    (line) => line !== undefined,
  )
}

let database: TestDatabase
let admin: pg.Client

beforeAll(async () => {
  database = await createEmptyDatabase()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
})

afterAll(async () => {
  await admin.end()
  await database.drop()
})

const SMALL_TABLE = `
  create table public.thing (tenant_id uuid not null, id bigint not null, unit_id uuid, primary key (tenant_id, id));
  alter table public.thing owner to rowhouse_owner;
  set local role rowhouse_owner;
  select rowhouse.protect('public.thing', unit_scope => true);
  reset role;`

/** Installs without a line, protects a table and asks the doctor; all of it rolled back. Returns what was said. */
async function installWithout(left: Line | undefined): Promise<Set<string>> {
  await admin.query('begin')
  try {
    for (const [index, { name, lines }] of FILES.entries()) {
      const text = lines.filter((_, line) => left?.file !== index || left.line !== line).join('\n')
      await admin.query(text)
      await admin.query('reset role; reset search_path')
      await admin.query(`insert into rowhouse.migration (version, name, sha256) values ($1, $2, '')`, [index + 1, name])
    }
    await admin.query(SMALL_TABLE)
    const survey = await takeSurvey(admin, { appRoles: ['rowhouse_app'] })
    const { findings, failed } = await examine(admin, survey, ALL_RULES)
    return new Set([
      ...findings.map(({ rule, object, message }) => `${rule} ${object} ${message}`),
      ...failed.map(({ rule, error }) => `${rule} failed ${error}`),
    ])
  } catch (error) {
    return new Set([`not installed: ${(error as Error).message}`])
  } finally {
    await admin.query('rollback')
  }
}

test('no line of the isolation can be left out unnoticed', async () => {
  const whole = await installWithout(undefined)
  expect([...whole].filter((text) => /not installed|L09|failed/.test(text))).toEqual([])
  const unnoticed: string[] = []
  for (const line of chooseLines()) {
    const said = await installWithout(line)
    if ([...said].some((text) => !whole.has(text))) continue
    if (HARMLESS.some(([text]) => text.test(line.text)) || REPLACED.has(`${line.file} ${line.line}`)) continue
    unnoticed.push(`${FILES[line.file]?.name}:${line.line + 1} ${line.text.trim()}`)
  }
  expect(unnoticed).toEqual([])
}, 600_000)
